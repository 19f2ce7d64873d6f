//! The event log of one run: numbers without gaps, stored before shown, then live for readers.
//!
//! Whoever writes appends, which never waits, and flushes before it waits for anything: events
//! that are ready together are stored, shown, and written to a connection together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mortise_plugin_api::Error;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::store::{Acknowledge, Appended, Entry, EventBatch, Mark, Store, StoreError};

/// How many events are appended before they are flushed and readers get their turn.
const EVENTS_PER_TURN: u64 = 128;
/// The room for the events of a batch, to begin with.
const BATCH_ROOM: usize = 1024;

/// The log of a run that is alive, and its readers' meeting point.
pub(crate) struct EventLog {
    run_id: Arc<str>,
    /// `None` where events are not kept.
    store: Option<Arc<dyn Store>>,
    /// Where the events are shown, of a run that is a part of another.
    outer: Option<Arc<EventLog>>,
    /// How many events are at hand at least; a reader that lags more reads the store, or is cut.
    window: u64,
    live: Mutex<Live>,
    /// Something was shown, or the log has failed or ended.
    changed: Notify,
}

#[derive(Default)]
struct Live {
    /// Appended and not flushed: lines of JSON.
    open: Vec<u8>,
    /// Not flushed.
    marks: Vec<Mark>,
    /// To be flushed together with the next event.
    marks_of_next: Vec<NewMark>,
    /// The number of the next event.
    next: u64,
    /// The number of the first event in `open`.
    flushed: u64,
    /// Where each entry ends that is not stored yet.
    queued: VecDeque<u64>,
    /// The youngest events that were flushed, without gaps.
    batches: VecDeque<EventBatch>,
    /// Readers see the events below this number: they are stored.
    shown: u64,
    /// Why nothing more can be stored.
    failed: Option<String>,
    /// The last words have their numbers: nothing may come in between.
    is_closed: bool,
    ended: Option<Ended>,
    /// How many readers there are.
    readers: usize,
}

/// A mark whose number is known when its event is appended.
enum NewMark {
    Checkpoint(String),
    Since(String),
}

/// How a log ended.
#[derive(Debug, Clone)]
enum Ended {
    With {
        failure: Option<String>,
    },
    /// The run goes on later, with another log.
    Parked,
}

/// Whether whoever writes may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Turn {
    GoesOn,
    /// So much was appended that it must be flushed, and others must get their turn.
    IsOver,
}

/// What a reader finds.
pub(super) enum Peek {
    Events(Vec<EventBatch>),
    /// The events are no longer at hand.
    Passed,
    Ended(Option<String>),
    Parked,
    Nothing,
}

// === impl EventLog ===

impl EventLog {
    pub(crate) fn new(
        run_id: impl Into<Arc<str>>,
        store: Option<Arc<dyn Store>>,
        window: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            run_id: run_id.into(),
            store,
            outer: None,
            window: window as u64,
            live: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The log of a run that is a part of another, whose log shows the events. Nothing else is
    /// remembered of it: after a crash there is no going on from within a part.
    pub(crate) fn within(run_id: Arc<str>, log: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self {
            run_id,
            store: None,
            outer: Some(Arc::clone(log.outermost())),
            window: log.window,
            live: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn outermost(self: &Arc<Self>) -> &Arc<Self> {
        self.outer.as_ref().unwrap_or(self)
    }

    /// The log of a run that goes on after a crash: its events below `next` are stored.
    pub(crate) fn recovered(
        run_id: Arc<str>,
        store: Arc<dyn Store>,
        window: usize,
        next: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            run_id,
            store: Some(store),
            outer: None,
            window: window as u64,
            live: Mutex::new(Live {
                next,
                flushed: next,
                shown: next,
                ..Live::default()
            }),
            changed: Notify::new(),
        })
    }

    /// Appends an event: it is encoded, once, and gets its number. It is not shown before
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// An event that is no JSON; a store that has failed.
    pub(crate) fn append(&self, event: &impl Serialize) -> Result<Turn, Error> {
        let mut live = self.live();
        if live.is_closed || live.ended.is_some() {
            return Ok(Turn::GoesOn);
        }
        if let Some(outer) = &self.outer {
            return outer.append(event);
        }
        if let Some(failed) = &live.failed {
            return Err(Error::internal(failed.as_str()));
        }
        if live.open.is_empty() {
            live.open.reserve(BATCH_ROOM);
        }
        write_line(&mut live.open, event)?;
        live.next += 1;
        live.take_marks_of_next();
        let turn = EVENTS_PER_TURN.min(self.window / 2).max(1);
        Ok(if live.next - live.flushed < turn {
            Turn::GoesOn
        } else {
            Turn::IsOver
        })
    }

    /// Whether marks are kept: whether the run can go on after a crash.
    pub(crate) fn keeps_marks(&self) -> bool {
        let store = self.store.as_ref();
        store.is_some_and(|store| store.is_durable())
    }

    /// Remembers what the run needs to go on after a crash.
    pub(crate) fn mark(&self, mark: &impl Serialize) -> Result<(), Error> {
        if self.keeps_marks() {
            let json = serde_json::to_string(mark)?;
            self.live().marks.push(Mark::Since(json));
        }
        Ok(())
    }

    /// The same, stored together with the event that is appended next, which shows it: after a
    /// crash there are both or none.
    pub(crate) fn mark_with_next(&self, mark: &impl Serialize) -> Result<(), Error> {
        if self.keeps_marks() {
            let json = serde_json::to_string(mark)?;
            self.live().marks_of_next.push(NewMark::Since(json));
        }
        Ok(())
    }

    /// Remembers where the run can go on from within a step. A client may have answered a call of
    /// it already.
    pub(crate) fn checkpoint_in_step(&self, checkpoint: &impl Serialize) -> Result<(), Error> {
        if self.keeps_marks() {
            let json = serde_json::to_string(checkpoint)?;
            let mut live = self.live();
            let next = live.next;
            live.marks.push(Mark::CheckpointInStep { json, next });
        }
        Ok(())
    }

    /// Remembers where the run can go on from, together with the event that is appended next.
    pub(crate) fn checkpoint_with_next(&self, checkpoint: &impl Serialize) -> Result<(), Error> {
        if self.keeps_marks() {
            let json = serde_json::to_string(checkpoint)?;
            self.live().marks_of_next.push(NewMark::Checkpoint(json));
        }
        Ok(())
    }

    /// Stores and shows what was appended: before whoever writes waits for anything.
    pub(crate) fn flush(self: &Arc<Self>) {
        let this = self.outermost();
        let mut live = this.live();
        let batch = live.take_open();
        let marks = std::mem::take(&mut live.marks);
        // What comes after something that was lost is not stored, and not shown.
        if live.failed.is_some() || (batch.is_none() && marks.is_empty()) {
            return;
        }
        let entry = Entry {
            batch: batch.clone(),
            marks,
        };
        // Under the lock, so that entries reach the store in their order.
        let appended = match &this.store {
            None => Ok(Appended::Stored),
            Some(store) => store.append(&this.run_id, entry, Arc::clone(this) as _),
        };
        match appended {
            Ok(Appended::Stored) => {
                if let Some(batch) = batch {
                    live.show(batch, this.window);
                }
            }
            Ok(Appended::Queued) => {
                let end = live.flushed;
                live.queued.push_back(end);
                live.batches.extend(batch);
            }
            Err(error) => live.failed = Some(error.to_string()),
        }
        drop(live);
        this.changed.notify_waiters();
    }

    /// Flushes, and waits until all of it is stored.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        self.flush();
        let this = self.outermost();
        loop {
            let changed = this.changed.notified();
            {
                let live = this.live();
                if let Some(failed) = &live.failed {
                    return Err(Error::internal(failed.as_str()));
                }
                if live.queued.is_empty() {
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    /// Lets others have their turn, then waits while more events than the window holds are not
    /// stored yet.
    pub(crate) async fn next_turn(self: &Arc<Self>) {
        self.flush();
        tokio::task::yield_now().await;
        self.room().await;
    }

    async fn room(self: &Arc<Self>) {
        let this = self.outermost();
        loop {
            let changed = this.changed.notified();
            {
                let live = this.live();
                if live.failed.is_some() || live.next - live.shown <= this.window {
                    return;
                }
            }
            changed.await;
        }
    }

    /// The last events of the run, numbered and not appended: they are stored together with its
    /// end, and shown with [`show_last_words`](Self::show_last_words). What others append from now on
    /// is dropped.
    pub(crate) fn last_words<E: Serialize>(
        self: &Arc<Self>,
        events: &[E],
    ) -> Result<EventBatch, Error> {
        self.live().is_closed = true;
        self.flush();
        let mut lines = Vec::with_capacity(BATCH_ROOM);
        for event in events {
            write_line(&mut lines, event)?;
        }
        let live = self.live();
        // What could not be stored was not shown; numbers have no gaps.
        let first = if live.failed.is_some() {
            live.shown
        } else {
            live.next
        };
        Ok(EventBatch::new(first, lines.into()))
    }

    /// Shows what was stored with the end of the run, or cannot be stored any more.
    pub(crate) fn show_last_words(&self, last_words: Option<EventBatch>) {
        let Some(batch) = last_words else { return };
        let mut live = self.live();
        if live.ended.is_none() {
            live.next = batch.end();
            live.show(batch, self.window);
        }
    }

    /// Ends the log: readers get the rest, then the end. The first end stays.
    pub(crate) fn end(&self, failure: Option<String>) {
        self.live().ended.get_or_insert(Ended::With { failure });
        self.changed.notify_waiters();
    }

    /// Readers get the rest, and are told to come back: the run goes on later.
    pub(crate) fn park(self: &Arc<Self>) {
        self.flush();
        self.live().ended.get_or_insert(Ended::Parked);
        self.changed.notify_waiters();
    }

    /// Whether the last event was shown.
    pub(crate) fn has_ended(&self) -> bool {
        self.live().ended.is_some()
    }

    /// Whether events that are appended are dropped.
    pub(crate) fn is_closed(&self) -> bool {
        let is_closed = {
            let live = self.live();
            live.is_closed || live.ended.is_some()
        };
        is_closed || self.outer.as_ref().is_some_and(|outer| outer.is_closed())
    }

    /// The number of the last event that readers see.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.live().shown.checked_sub(1)
    }

    /// What a reader finds that has read everything below `next`.
    pub(super) fn peek(&self, next: u64) -> Peek {
        let mut live = self.live();
        let peeked = live.peek(next);
        // What the only reader has read is at hand in the store, for those who come later.
        if live.readers == 1 && self.store.is_some() && matches!(peeked, Peek::Nothing) {
            live.forget_shown();
        }
        peeked
    }

    /// There is one more reader, or one less.
    pub(super) fn count_reader(&self) {
        self.live().readers += 1;
    }

    pub(super) fn discount_reader(&self) {
        self.live().readers -= 1;
    }

    /// Fires at the next change after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn run_id(&self) -> &str {
        &self.run_id
    }

    pub(super) fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Acknowledge for EventLog {
    fn stored(&self) {
        {
            let mut live = self.live();
            // What follows something that was lost is stored only where it has no event.
            if live.failed.is_none()
                && let Some(end) = live.queued.pop_front()
            {
                live.show_below(end, self.window);
            }
        }
        self.changed.notify_waiters();
    }

    fn failed(&self, error: &StoreError) {
        self.live().failed.get_or_insert_with(|| error.to_string());
        self.changed.notify_waiters();
    }
}

fn write_line(lines: &mut Vec<u8>, event: &impl Serialize) -> Result<(), Error> {
    let start = lines.len();
    if let Err(error) = serde_json::to_writer(&mut *lines, event) {
        lines.truncate(start);
        return Err(error.into());
    }
    lines.push(b'\n');
    Ok(())
}

// === impl Live ===

impl Live {
    fn take_marks_of_next(&mut self) {
        let next = self.next;
        let marks = self.marks_of_next.drain(..).map(|mark| match mark {
            NewMark::Since(json) => Mark::Since(json),
            NewMark::Checkpoint(json) => Mark::Checkpoint { json, next },
        });
        self.marks.extend(marks);
    }

    fn take_open(&mut self) -> Option<EventBatch> {
        if self.open.is_empty() {
            return None;
        }
        let mut lines = std::mem::take(&mut self.open);
        lines.shrink_to_fit();
        let batch = EventBatch::new(self.flushed, Bytes::from(lines));
        self.flushed = self.next;
        Some(batch)
    }

    fn show(&mut self, batch: EventBatch, window: u64) {
        let end = batch.end();
        // What was not stored is not shown, and its numbers are free.
        while self
            .batches
            .back()
            .is_some_and(|last| last.end() > batch.first())
        {
            self.batches.pop_back();
        }
        self.batches.push_back(batch);
        self.show_below(end, window);
    }

    fn show_below(&mut self, end: u64, window: u64) {
        self.shown = self.shown.max(end);
        while let [Some(front), Some(second)] = [self.batches.front(), self.batches.get(1)] {
            if front.end() > self.shown || self.shown.saturating_sub(second.first()) < window {
                break;
            }
            self.batches.pop_front();
        }
    }

    fn forget_shown(&mut self) {
        while self
            .batches
            .front()
            .is_some_and(|front| front.end() <= self.shown)
        {
            self.batches.pop_front();
        }
    }

    fn peek(&self, next: u64) -> Peek {
        if next < self.shown {
            let first = self.batches.front().map_or(self.shown, EventBatch::first);
            if next < first {
                return Peek::Passed;
            }
            let ready = self
                .batches
                .iter()
                .skip_while(|batch| batch.end() <= next)
                .take_while(|batch| batch.end() <= self.shown);
            let mut ready: Vec<EventBatch> = ready.cloned().collect();
            if let Some(first) = ready.first_mut() {
                first.advance_to(next);
            }
            return Peek::Events(ready);
        }
        match &self.ended {
            Some(Ended::With { failure }) => Peek::Ended(failure.clone()),
            Some(Ended::Parked) => Peek::Parked,
            None => Peek::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_flushed_is_not_shown() {
        let log = EventLog::new("r", None, 16);
        let _ = log.append(&json!({})).unwrap();
        assert!(matches!(log.peek(0), Peek::Nothing));
        log.flush();
        assert!(matches!(log.peek(0), Peek::Events(_)));
    }

    #[test]
    fn nothing_comes_between_the_last_words_and_the_end() {
        let log = EventLog::new("r", None, 16);
        let _ = log.append(&json!({ "n": 0 })).unwrap();
        let last_words = log.last_words(&[json!({ "n": 1 })]).unwrap();
        let _ = log.append(&json!({ "n": 2 })).unwrap();
        log.flush();
        log.show_last_words(Some(last_words));
        log.end(None);
        assert_eq!(log.last_seq(), Some(1));
    }

    #[test]
    fn nothing_is_appended_after_the_end() {
        let log = EventLog::new("r", None, 16);
        log.end(None);
        let _ = log.append(&json!({})).unwrap();
        log.flush();
        assert_eq!(log.last_seq(), None);
    }
}

//! The event log of one run: numbers without gaps, stored before shown, then live for readers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::api::{LoggedEvent, ReadOutcome};
use crate::store::{Store, StoreError, StoredEvent};

/// How many events are shown before readers get their turn.
const EVENTS_PER_TURN: u64 = 128;
/// How many events a reader takes from the store at once.
const REPLAY_BATCH: usize = 256;

/// The log of a run that is alive, and its readers' meeting point.
pub(crate) struct EventLog {
    run_id: String,
    /// `None` where events are not kept.
    store: Option<Arc<dyn Store>>,
    /// How many events are at hand; a reader that lags more reads the store, or is cut.
    window: usize,
    live: Mutex<Live>,
    changed: Notify,
    /// Whether anything was shown since readers were woken.
    unseen: AtomicBool,
}

struct Live {
    /// The youngest events, without gaps; the last has the number `next - 1`.
    events: VecDeque<LoggedEvent>,
    next: u64,
    ended: Option<Ended>,
}

/// How a log ended.
#[derive(Debug, Clone)]
struct Ended {
    failure: Option<String>,
}

/// Follows a log: what is stored after a cursor, then what comes.
pub(crate) struct Reader {
    source: Source,
    next: u64,
    /// A reader of the live stream hears of the failure; a resumed one does not.
    hears_failure: bool,
    /// Fires when this reader goes: its client has gone.
    on_gone: Option<CancellationToken>,
}

enum Source {
    Live(Arc<EventLog>),
    /// A run that is over: only the store knows it.
    Stored {
        run_id: String,
        store: Arc<dyn Store>,
    },
}

// === impl EventLog ===

impl EventLog {
    pub(crate) fn new(run_id: String, store: Option<Arc<dyn Store>>, window: usize) -> Arc<Self> {
        Arc::new(Self {
            run_id,
            store,
            window,
            live: Mutex::new(Live {
                events: VecDeque::new(),
                next: 0,
                ended: None,
            }),
            changed: Notify::new(),
            unseen: AtomicBool::new(false),
        })
    }

    /// Appends an event: it gets its number, is stored, and only then shown. One writer at a time.
    ///
    /// Readers are not woken: see [`wake`](Self::wake).
    pub(crate) async fn append(&self, json: Bytes) -> Result<(), StoreError> {
        let event = {
            let live = self.live();
            if live.ended.is_some() {
                return Ok(());
            }
            LoggedEvent {
                seq: live.next,
                json,
            }
        };
        if let Some(store) = &self.store {
            let stored = StoredEvent {
                seq: event.seq,
                json: event.json.clone(),
            };
            if let Some(storing) = store.append(&self.run_id, stored) {
                storing.await?;
            }
        }
        self.show(event);
        Ok(())
    }

    /// Shows an event without storing it: for the last word when the store has failed.
    pub(crate) fn show_unstored(&self, json: Bytes) {
        let seq = self.live().next;
        self.show(LoggedEvent { seq, json });
    }

    fn show(&self, event: LoggedEvent) {
        {
            let mut live = self.live();
            live.next = event.seq + 1;
            live.events.push_back(event);
            if live.events.len() > self.window {
                live.events.pop_front();
            }
        }
        self.unseen.store(true, Ordering::Release);
    }

    /// Wakes the readers, if there is something new: before whoever writes waits for anything, so
    /// that events which are ready at once are read, and written to a connection, at once.
    pub(crate) fn wake(&self) {
        if self.unseen.swap(false, Ordering::AcqRel) {
            self.changed.notify_waiters();
        }
    }

    /// Whether so much was shown that readers must get their turn, lest they fall out of the window
    /// of a writer that never waits.
    pub(crate) fn turn_is_over(&self) -> bool {
        let turn = EVENTS_PER_TURN.min(self.window as u64 / 2).max(1);
        self.live().next.is_multiple_of(turn)
    }

    /// Ends the log: readers get the rest, then the end. The first end stays.
    pub(crate) fn end(&self, failure: Option<String>) {
        self.live().ended.get_or_insert(Ended { failure });
        self.changed.notify_waiters();
    }

    /// Whether the last event was shown.
    pub(crate) fn has_ended(&self) -> bool {
        self.live().ended.is_some()
    }

    /// The number of the last event.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.live().next.checked_sub(1)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Reader ===

impl Reader {
    /// The reader of whoever started the run; `on_gone` fires when it is dropped.
    pub(crate) fn live(log: Arc<EventLog>, on_gone: Option<CancellationToken>) -> Self {
        Self {
            source: Source::Live(log),
            next: 0,
            hears_failure: true,
            on_gone,
        }
    }

    /// A reader that comes later to a run that is alive.
    pub(crate) fn resumed(log: Arc<EventLog>, after: Option<u64>) -> Self {
        Self {
            source: Source::Live(log),
            next: first_after(after),
            hears_failure: false,
            on_gone: None,
        }
    }

    /// A reader of a run that is over.
    pub(crate) fn stored(run_id: String, store: Arc<dyn Store>, after: Option<u64>) -> Self {
        let source = Source::Stored { run_id, store };
        Self {
            source,
            next: first_after(after),
            hears_failure: false,
            on_gone: None,
        }
    }

    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> ReadOutcome {
        let outcome = match &mut self.source {
            Source::Stored { run_id, store } => match replay(&**store, run_id, self.next).await {
                Some(events) => ReadOutcome::Events(events),
                None => ReadOutcome::End { failure: None },
            },
            Source::Live(log) => read_live(log, self.next, self.hears_failure).await,
        };
        match &outcome {
            ReadOutcome::Events(events) => {
                self.next = events.last().map_or(self.next, |event| event.seq + 1);
            }
            // A cut by the server, or the end, is no disconnect.
            ReadOutcome::Lagged { .. } | ReadOutcome::End { .. } => self.on_gone = None,
        }
        outcome
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(gone) = &self.on_gone {
            gone.cancel();
        }
    }
}

fn first_after(after: Option<u64>) -> u64 {
    after.map_or(0, |after| after.saturating_add(1))
}

enum Peek {
    Events(Vec<LoggedEvent>),
    /// The events are no longer in the window.
    Passed,
    Ended(Option<String>),
    Nothing,
}

async fn read_live(log: &EventLog, next: u64, hears_failure: bool) -> ReadOutcome {
    loop {
        // Made before the look: an event that is appended in between wakes it.
        let changed = log.changed.notified();
        let peeked = peek(&log.live(), next);
        match peeked {
            Peek::Events(events) => return ReadOutcome::Events(events),
            Peek::Ended(failure) => {
                return ReadOutcome::End {
                    failure: failure.filter(|_| hears_failure),
                };
            }
            Peek::Passed => {
                if let Some(store) = &log.store
                    && let Some(events) = replay(&**store, &log.run_id, next).await
                {
                    return ReadOutcome::Events(events);
                }
                return ReadOutcome::Lagged {
                    last: next.checked_sub(1),
                };
            }
            Peek::Nothing => changed.await,
        }
    }
}

fn peek(live: &Live, next: u64) -> Peek {
    let first = live.next - live.events.len() as u64;
    if next < first {
        return Peek::Passed;
    }
    if next < live.next {
        let skip = usize::try_from(next - first).unwrap_or(usize::MAX);
        return Peek::Events(live.events.iter().skip(skip).cloned().collect());
    }
    match &live.ended {
        Some(ended) => Peek::Ended(ended.failure.clone()),
        None => Peek::Nothing,
    }
}

async fn replay(store: &dyn Store, run_id: &str, next: u64) -> Option<Vec<LoggedEvent>> {
    let stored = store
        .events(run_id, next.checked_sub(1), REPLAY_BATCH)
        .await;
    let events = stored.unwrap_or_else(|error| {
        tracing::error!(run_id, %error, "a reader was cut");
        Vec::new()
    });
    let events: Vec<LoggedEvent> = events
        .into_iter()
        .map(|event| LoggedEvent {
            seq: event.seq,
            json: event.json,
        })
        .collect();
    (!events.is_empty()).then_some(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(outcome: ReadOutcome) -> Vec<u64> {
        match outcome {
            ReadOutcome::Events(events) => events.iter().map(|event| event.seq).collect(),
            other => panic!("expected events, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_reader_gets_every_event_once_and_then_the_end() {
        let log = EventLog::new("r".into(), None, 16);
        let mut reader = Reader::live(Arc::clone(&log), None);
        log.append(Bytes::from_static(b"{}")).await.unwrap();
        log.append(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(numbers(reader.next().await), [0, 1]);
        log.append(Bytes::from_static(b"{}")).await.unwrap();
        log.end(Some("it failed".into()));
        assert_eq!(numbers(reader.next().await), [2]);
        let end = reader.next().await;
        assert!(matches!(end, ReadOutcome::End { failure: Some(text) } if text == "it failed"));
    }

    #[tokio::test]
    async fn nothing_is_appended_after_the_end() {
        let log = EventLog::new("r".into(), None, 16);
        log.end(None);
        log.append(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(log.last_seq(), None);
    }

    #[tokio::test]
    async fn without_a_store_a_reader_past_the_window_is_cut_and_that_is_no_disconnect() {
        let log = EventLog::new("r".into(), None, 2);
        let gone = CancellationToken::new();
        let mut reader = Reader::live(Arc::clone(&log), Some(gone.clone()));
        for _ in 0..4 {
            log.append(Bytes::from_static(b"{}")).await.unwrap();
        }
        assert!(matches!(
            reader.next().await,
            ReadOutcome::Lagged { last: None }
        ));
        drop(reader);
        assert!(!gone.is_cancelled());
    }

    #[tokio::test]
    async fn a_reader_that_is_dropped_early_is_a_disconnect() {
        let log = EventLog::new("r".into(), None, 2);
        let gone = CancellationToken::new();
        drop(Reader::live(log, Some(gone.clone())));
        assert!(gone.is_cancelled());
    }
}

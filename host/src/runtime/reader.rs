//! Readers of event logs: what is stored after a cursor, then what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::api::ReadOutcome;
use super::log::{EventLog, Peek};
use crate::plugin::capability::BoxFuture;
use crate::store::{EventBatch, Store, StoreError, StoredRun};

/// How many events a reader takes from the store at once.
const REPLAY_BATCH: u64 = 256;

/// Follows a log: what is stored after a cursor, then what comes.
pub(crate) struct Reader {
    source: Source,
    next: u64,
    /// A reader of the live stream hears of the failure; a resumed one does not.
    hears_failure: bool,
    /// Fires when this reader goes: its client has gone.
    on_gone: Option<CancellationToken>,
    cut: CutNotice,
}

/// Tells a reader that its stream ends because the server cut it. That is no disconnect.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutNotice(Arc<AtomicBool>);

enum Source {
    Live(Attached),
    /// A run that has not begun: its reader, once it has. `None` where it never will.
    Awaited(BoxFuture<'static, Option<Reader>>),
    Nothing,
    /// A run that only the store knows: it is over, or goes on later.
    Stored {
        run_id: String,
        store: Arc<dyn Store>,
        is_over: bool,
    },
}

/// A log, which knows of this reader.
struct Attached(Arc<EventLog>);

// === impl Reader ===

impl Reader {
    /// The reader of whoever started the run; `on_gone` fires when it is dropped.
    pub(crate) fn live(log: Arc<EventLog>, on_gone: Option<CancellationToken>) -> Self {
        Self {
            source: Source::Live(Attached::to(log)),
            next: 0,
            hears_failure: true,
            on_gone,
            cut: CutNotice::default(),
        }
    }

    /// A reader that comes later to a run that is alive.
    pub(crate) fn resumed(log: Arc<EventLog>, after: Option<u64>) -> Self {
        Self {
            source: Source::Live(Attached::to(log)),
            next: first_after(after),
            hears_failure: false,
            on_gone: None,
            cut: CutNotice::default(),
        }
    }

    /// A reader of a run that is not alive. One that is not over goes on later, or its end is not
    /// stored yet: it is no end that there are no more events.
    pub(crate) fn stored(run: &StoredRun, store: Arc<dyn Store>, after: Option<u64>) -> Self {
        let source = Source::Stored {
            run_id: run.id.to_string(),
            store,
            is_over: run.ended_at.is_some(),
        };
        Self {
            source,
            next: first_after(after),
            hears_failure: false,
            on_gone: None,
            cut: CutNotice::default(),
        }
    }

    /// A reader of a run that has not begun; none where it never will.
    pub(crate) fn awaiting(reader: BoxFuture<'static, Option<Reader>>) -> Self {
        Self {
            source: Source::Awaited(reader),
            next: 0,
            hears_failure: false,
            on_gone: None,
            cut: CutNotice::default(),
        }
    }

    /// How to tell this reader of a cut; `None` where that makes no difference. Where no store holds
    /// the run, nobody could come back to it, and it ends with its only reader.
    pub(crate) fn cut_notice(&self) -> Option<CutNotice> {
        let is_kept = matches!(&self.source, Source::Live(log) if log.0.store().is_some());
        (is_kept && self.on_gone.is_some()).then(|| self.cut.clone())
    }

    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> ReadOutcome {
        if let Source::Awaited(reader) = &mut self.source {
            match reader.await {
                Some(reader) => *self = reader,
                None => self.source = Source::Nothing,
            }
        }
        let outcome = match &mut self.source {
            Source::Awaited(_) | Source::Nothing => ReadOutcome::End { failure: None },
            Source::Stored {
                run_id,
                store,
                is_over,
            } => match replay(&**store, run_id, self.next).await {
                Ok(Some(events)) => ReadOutcome::Events(events),
                Ok(None) if *is_over => ReadOutcome::End { failure: None },
                // What is not known to be the end is shown as none.
                Ok(None) | Err(_) => cut_before(self.next),
            },
            Source::Live(log) => read_live(&log.0, self.next, self.hears_failure).await,
        };
        match &outcome {
            ReadOutcome::Events(batches) => {
                self.next = batches.last().map_or(self.next, EventBatch::end);
            }
            // A cut by the server, or the end, is no disconnect.
            ReadOutcome::Lagged { .. } | ReadOutcome::End { .. } => self.on_gone = None,
        }
        outcome
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(gone) = &self.on_gone
            && !self.cut.was_given()
        {
            gone.cancel();
        }
    }
}

// === impl Attached ===

impl Attached {
    fn to(log: Arc<EventLog>) -> Self {
        log.count_reader();
        Self(log)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.discount_reader();
    }
}

// === impl CutNotice ===

impl CutNotice {
    pub(crate) fn give(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn was_given(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

fn first_after(after: Option<u64>) -> u64 {
    after.map_or(0, |after| after.saturating_add(1))
}

async fn read_live(log: &EventLog, next: u64, hears_failure: bool) -> ReadOutcome {
    loop {
        // Made before the look: an event that is shown in between wakes it.
        let changed = log.changed();
        let peeked = log.peek(next);
        match peeked {
            Peek::Events(batches) => return ReadOutcome::Events(batches),
            Peek::Ended(failure) => {
                return ReadOutcome::End {
                    failure: failure.filter(|_| hears_failure),
                };
            }
            Peek::Parked => return cut_before(next),
            Peek::Passed => {
                if let Some(store) = log.store()
                    && let Ok(Some(batches)) = replay(&**store, log.run_id(), next).await
                {
                    return ReadOutcome::Events(batches);
                }
                return cut_before(next);
            }
            Peek::Nothing => changed.await,
        }
    }
}

/// The reader is to come back for this number.
fn cut_before(next: u64) -> ReadOutcome {
    ReadOutcome::Lagged {
        last: next.checked_sub(1),
    }
}

async fn replay(
    store: &dyn Store,
    run_id: &str,
    next: u64,
) -> Result<Option<Vec<EventBatch>>, StoreError> {
    let stored = store.events(run_id, next, REPLAY_BATCH).await;
    let batches =
        stored.inspect_err(|error| tracing::error!(run_id, %error, "a reader was cut"))?;
    Ok((!batches.is_empty()).then_some(batches))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;

    fn append(log: &Arc<EventLog>) {
        let _ = log.append(&json!({})).unwrap();
    }

    fn numbers(outcome: ReadOutcome) -> Vec<u64> {
        match outcome {
            ReadOutcome::Events(batches) => {
                let events = batches.into_iter().flatten();
                events.map(|(number, _)| number).collect()
            }
            other => panic!("expected events, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_reader_gets_every_event_once_and_then_the_end() {
        let log = EventLog::new("r", None, 16);
        let mut reader = Reader::live(Arc::clone(&log), None);
        append(&log);
        append(&log);
        log.flush();
        assert_eq!(numbers(reader.next().await), [0, 1]);
        append(&log);
        let last = log.last_words(&[json!({ "last": true })]).unwrap();
        log.show_last_words(Some(last));
        log.end(Some("it failed".into()));
        assert_eq!(numbers(reader.next().await), [2, 3]);
        let end = reader.next().await;
        assert!(matches!(end, ReadOutcome::End { failure: Some(text) } if text == "it failed"));
    }

    #[tokio::test]
    async fn without_a_store_a_reader_past_the_window_is_cut_and_that_is_no_disconnect() {
        let log = EventLog::new("r", None, 2);
        let gone = CancellationToken::new();
        let mut reader = Reader::live(Arc::clone(&log), Some(gone.clone()));
        for _ in 0..4 {
            append(&log);
            log.flush();
        }
        assert!(matches!(
            reader.next().await,
            ReadOutcome::Lagged { last: None }
        ));
        drop(reader);
        assert!(!gone.is_cancelled());
    }

    #[tokio::test]
    async fn what_the_only_reader_has_read_is_at_hand_in_the_store() {
        let section = serde_json::from_value(json!({ "url": "memory:" })).unwrap();
        let store = crate::store::of(&section, Clock::SYSTEM);
        let log = EventLog::new("r", Some(Arc::clone(&store)), 16);
        store.open_run(crate::store::contract::new_run("r"), None);
        let mut reader = Reader::live(Arc::clone(&log), None);
        append(&log);
        log.flush();
        assert_eq!(numbers(reader.next().await), [0]);
        assert!(matches!(log.peek(1), Peek::Nothing));
        assert!(matches!(log.peek(0), Peek::Passed));

        let mut later = Reader::resumed(Arc::clone(&log), None);
        assert_eq!(numbers(later.next().await), [0]);
        append(&log);
        log.flush();
        assert_eq!(numbers(later.next().await), [1]);
        assert_eq!(numbers(reader.next().await), [1]);
        assert!(matches!(log.peek(2), Peek::Nothing));
        assert!(
            matches!(log.peek(1), Peek::Events(_)),
            "there are two readers"
        );
    }

    #[tokio::test]
    async fn a_run_that_is_stored_without_its_end_does_not_seem_to_be_over() {
        let section = serde_json::from_value(json!({ "url": "memory:" })).unwrap();
        let store = crate::store::of(&section, Clock::SYSTEM);
        let mut run = crate::store::contract::new_run("r");
        store.open_run(run.clone(), None);
        let log = EventLog::new("r", Some(Arc::clone(&store)), 16);
        append(&log);
        log.flush();

        let mut reader = Reader::stored(&run, Arc::clone(&store), None);
        assert_eq!(numbers(reader.next().await), [0]);
        let cut = reader.next().await;
        assert!(matches!(cut, ReadOutcome::Lagged { last: Some(0) }));

        run.ended_at = Some(run.created_at);
        let mut reader = Reader::stored(&run, store, Some(0));
        let end = reader.next().await;
        assert!(matches!(end, ReadOutcome::End { failure: None }));
    }

    #[tokio::test]
    async fn a_reader_that_is_dropped_early_is_a_disconnect() {
        let log = EventLog::new("r", None, 2);
        let gone = CancellationToken::new();
        drop(Reader::live(log, Some(gone.clone())));
        assert!(gone.is_cancelled());
    }

    #[tokio::test]
    async fn a_cut_is_a_disconnect_only_where_no_store_holds_the_run() {
        let section = serde_json::from_value(json!({ "url": "memory:" })).unwrap();
        let store = crate::store::of(&section, Clock::SYSTEM);
        for (store, is_disconnect) in [(Some(store), false), (None, true)] {
            let log = EventLog::new("r", store, 2);
            let gone = CancellationToken::new();
            let reader = Reader::live(log, Some(gone.clone()));
            if let Some(cut) = reader.cut_notice() {
                cut.give();
            }
            drop(reader);
            assert_eq!(gone.is_cancelled(), is_disconnect);
        }
    }
}

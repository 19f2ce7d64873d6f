//! What every store must do: one suite, run against each backend.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mortise_plugin_api::{Item, Principal};
use serde_json::json;

use super::memory::MemoryLimits;
use super::{
    Acknowledge, Appended, ConversationKey, ConversationSave, EventBatch, Expected, Finish,
    Finished, Keeps, MemoryStore, RunState, Saved, Store, StoreError, StoredRun,
};
use crate::clock::Clock;

fn memory(finished_runs: usize) -> MemoryStore {
    let keeps = Keeps {
        streams: true,
        conversations: true,
        runtime_state: true,
    };
    let limits = MemoryLimits {
        keeps,
        finished_runs,
        finished_for: Duration::from_secs(900),
        conversations: 2,
        state_keys: 2,
    };
    MemoryStore::new(limits, Clock::SYSTEM)
}

fn running() -> StoredRun {
    StoredRun {
        owner: Arc::new(Principal::anonymous()),
        agent: "plain".into(),
        state: RunState::Running,
    }
}

/// Nobody who waits: the store must have stored the batch, or refuse it.
struct Nobody;

impl Acknowledge for Nobody {
    fn stored(&self, _end: u64) {}
    fn failed(&self, error: &StoreError) {
        panic!("{error}");
    }
}

fn batch(numbers: std::ops::Range<u64>) -> EventBatch {
    let lines: String = numbers
        .clone()
        .map(|n| format!("{{\"n\":{n}}}\n"))
        .collect();
    EventBatch::new(numbers.start, Bytes::from(lines))
}

fn append(store: &dyn Store, run_id: &str, batch: EventBatch) -> Result<Appended, StoreError> {
    store.append(&run_id.into(), batch, Arc::new(Nobody))
}

fn finish(state: RunState) -> Finish {
    Finish {
        state,
        last_words: None,
        conversation: None,
    }
}

async fn numbers(store: &dyn Store, run_id: &str, next: u64, limit: u64) -> Vec<u64> {
    let batches = store.events(run_id, next, limit).await.unwrap();
    batches.into_iter().flatten().map(|(n, _)| n).collect()
}

#[tokio::test]
async fn events_come_back_in_order_from_a_number_on() {
    let store = memory(10);
    store.open_run("r", running());
    for numbers in [0..2, 2..3, 3..5] {
        append(&store, "r", batch(numbers)).unwrap();
    }
    assert_eq!(numbers(&store, "r", 0, 2).await, [0, 1]);
    assert_eq!(numbers(&store, "r", 1, 10).await, [1, 2, 3, 4]);
    assert_eq!(numbers(&store, "r", 3, 1).await, [3, 4]);
    assert_eq!(numbers(&store, "r", u64::MAX, 10).await, [0; 0]);
}

#[tokio::test]
async fn an_event_of_a_run_that_is_not_open_is_refused() {
    let store = memory(10);
    let refused = append(&store, "nobody", batch(0..1)).unwrap_err();
    assert!(refused.to_string().contains("'nobody' is not open"));
}

#[tokio::test]
async fn a_run_ends_once_with_its_last_words() {
    let store = memory(10);
    store.open_run("r", running());
    append(&store, "r", batch(0..2)).unwrap();
    let last_words = Some(batch(2..3));
    let ended = store.finish_run(
        "r",
        Finish {
            last_words,
            ..finish(RunState::Finished)
        },
    );
    assert_eq!(ended.await.unwrap(), Finished::Won);
    let again = store.finish_run("r", finish(RunState::Aborted)).await;
    assert_eq!(again.unwrap(), Finished::AlreadyTerminal);
    assert_eq!(numbers(&store, "r", 0, 9).await, [0, 1, 2]);
    assert!(append(&store, "r", batch(3..4)).is_err());
    let run = store.run("r").await.unwrap().unwrap();
    assert_eq!(run.state, RunState::Finished);
}

#[tokio::test]
async fn a_run_that_would_overwrite_a_conversation_does_not_end() {
    let store = memory(10);
    let key = ConversationKey::new(&Principal::anonymous(), "plain", "c1");
    let save = |expected| ConversationSave {
        key: key.clone(),
        items: vec![Item::user("hi")],
        expected,
    };
    store.save_conversation(save(None)).await.unwrap();
    store.save_conversation(save(Some(1))).await.unwrap();
    store.open_run("r", running());
    let conversation = Some(save(Some(1)));
    let ended = store.finish_run(
        "r",
        Finish {
            conversation,
            last_words: Some(batch(0..1)),
            ..finish(RunState::Finished)
        },
    );
    assert_eq!(ended.await.unwrap(), Finished::ConversationConflict);
    assert_eq!(numbers(&store, "r", 0, 9).await, [0; 0]);
    let failed = store.finish_run("r", finish(RunState::Failed)).await;
    assert_eq!(failed.unwrap(), Finished::Won);
}

#[tokio::test]
async fn the_oldest_finished_runs_are_forgotten_first() {
    let store = memory(2);
    for run_id in ["a", "b", "c"] {
        store.open_run(run_id, running());
        let ended = store.finish_run(run_id, finish(RunState::Finished));
        ended.await.unwrap();
    }
    assert!(store.run("a").await.unwrap().is_none());
    assert!(store.run("c").await.unwrap().is_some());
}

#[tokio::test]
async fn a_save_over_another_version_is_a_conflict_and_a_first_save_is_not() {
    let store = memory(10);
    let key = ConversationKey::new(&Principal::anonymous(), "plain", "c1");
    let items = vec![Item::user("hi")];
    let save = |expected| {
        store.save_conversation(ConversationSave {
            key: key.clone(),
            items: items.clone(),
            expected,
        })
    };
    assert_eq!(save(None).await.unwrap(), Saved::Version(1));
    assert_eq!(save(Some(1)).await.unwrap(), Saved::Version(2));
    assert_eq!(save(Some(1)).await.unwrap(), Saved::Conflict);
    assert_eq!(save(None).await.unwrap(), Saved::Version(3));
}

#[tokio::test]
async fn conversations_belong_to_their_owner() {
    let store = memory(10);
    let key = ConversationKey::new(&Principal::new("ann"), "plain", "c1");
    store
        .save_conversation(ConversationSave {
            key,
            items: vec![Item::user("hi")],
            expected: None,
        })
        .await
        .unwrap();
    let other = ConversationKey::new(&Principal::new("bob"), "plain", "c1");
    assert!(store.load_conversation(&other).await.unwrap().is_none());
}

#[tokio::test]
async fn state_is_compared_set_removed_and_bounded() {
    let store = memory(10);
    assert!(
        store
            .set_state("p", "k", Expected::Is(None), json!(1))
            .await
            .unwrap()
    );
    assert!(
        !store
            .set_state("p", "k", Expected::Is(None), json!(2))
            .await
            .unwrap()
    );
    assert!(
        store
            .set_state("p", "k", Expected::Is(Some(json!(1))), json!(2))
            .await
            .unwrap()
    );
    assert_eq!(store.state("p", "k").await.unwrap(), Some(json!(2)));
    assert_eq!(store.state("other", "k").await.unwrap(), None);
    assert!(
        store
            .set_state("p", "l", Expected::Anything, json!(1))
            .await
            .unwrap()
    );
    assert!(
        store
            .set_state("p", "m", Expected::Anything, json!(1))
            .await
            .is_err()
    );
    assert!(
        store
            .set_state("p", "k", Expected::Anything, json!(null))
            .await
            .unwrap()
    );
    assert!(
        store
            .set_state("p", "m", Expected::Anything, json!(1))
            .await
            .unwrap()
    );
}

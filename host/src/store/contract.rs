//! What every store must do: one suite, run against each backend.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mortise_plugin_api::{Item, Principal};
use serde_json::json;

use super::memory::MemoryLimits;
use super::{
    ConversationKey, Expected, Keeps, MemoryStore, RunState, Saved, Store, StoredEvent, StoredRun,
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

fn event(seq: u64) -> StoredEvent {
    StoredEvent {
        seq,
        json: Bytes::from(format!("{{\"n\":{seq}}}")),
    }
}

async fn append(store: &dyn Store, run_id: &str, seq: u64) {
    if let Some(stored) = store.append(run_id, event(seq)) {
        stored.await.unwrap();
    }
}

#[tokio::test]
async fn events_come_back_in_order_after_a_cursor() {
    let store = memory(10);
    store.open_run("r", running()).await.unwrap();
    for seq in 0..5 {
        append(&store, "r", seq).await;
    }
    let numbers = |events: Vec<StoredEvent>| events.iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!(numbers(store.events("r", None, 2).await.unwrap()), [0, 1]);
    assert_eq!(
        numbers(store.events("r", Some(2), 10).await.unwrap()),
        [3, 4]
    );
    assert_eq!(
        numbers(store.events("r", Some(u64::MAX), 10).await.unwrap()),
        [0; 0]
    );
}

#[tokio::test]
async fn an_event_of_a_run_that_is_not_open_is_refused() {
    let store = memory(10);
    let refused = store.append("nobody", event(0)).expect("not stored").await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("'nobody' is not open")
    );
}

#[tokio::test]
async fn the_oldest_finished_runs_are_forgotten_first() {
    let store = memory(2);
    for run_id in ["a", "b", "c"] {
        store.open_run(run_id, running()).await.unwrap();
        store.close_run(run_id, RunState::Finished).await.unwrap();
        store.close_run(run_id, RunState::Failed).await.unwrap();
    }
    assert!(store.run("a").await.unwrap().is_none());
    assert_eq!(
        store.run("c").await.unwrap().unwrap().state,
        RunState::Finished
    );
}

#[tokio::test]
async fn a_save_over_another_version_is_a_conflict_and_a_first_save_is_not() {
    let store = memory(10);
    let key = ConversationKey::new(&Principal::anonymous(), "plain", "c1");
    let items = vec![Item::user("hi")];
    let save = |expected| store.save_conversation(key.clone(), items.clone(), expected);
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
        .save_conversation(key, vec![Item::user("hi")], None)
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

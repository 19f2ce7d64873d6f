//! The store in memory: bounded, gone with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mortise_plugin_api::Item;
use serde_json::Value;

use super::{
    ConversationKey, Expected, Keeps, RunState, Saved, Store, StoreError, StoreFuture,
    StoredConversation, StoredEvent, StoredRun,
};
use crate::clock::Clock;

/// How much is kept.
#[derive(Debug, Clone)]
pub(crate) struct MemoryLimits {
    pub(crate) keeps: Keeps,
    pub(crate) finished_runs: usize,
    pub(crate) finished_for: Duration,
    pub(crate) conversations: usize,
    pub(crate) state_keys: usize,
}

/// Everything in maps behind one lock that is never held across an await.
pub(crate) struct MemoryStore {
    limits: MemoryLimits,
    clock: Clock,
    data: Mutex<Data>,
}

#[derive(Default)]
struct Data {
    runs: HashMap<String, Run>,
    /// Finished runs, oldest first, with the time of their end.
    finished: VecDeque<(u64, String)>,
    conversations: HashMap<ConversationKey, StoredConversation>,
    /// Conversations in the order of their first save.
    conversation_order: VecDeque<ConversationKey>,
    state: HashMap<(String, String), Value>,
}

struct Run {
    known: StoredRun,
    events: Vec<StoredEvent>,
}

// === impl MemoryStore ===

impl MemoryStore {
    pub(crate) fn new(limits: MemoryLimits, clock: Clock) -> Self {
        Self {
            limits,
            clock,
            data: Mutex::default(),
        }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_old_runs(&self, data: &mut Data) {
        let age = u64::try_from(self.limits.finished_for.as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now_millis();
        while let Some((ended, _)) = data.finished.front() {
            let too_many = data.finished.len() > self.limits.finished_runs;
            if !too_many && now.saturating_sub(*ended) <= age {
                break;
            }
            if let Some((_, run_id)) = data.finished.pop_front() {
                data.runs.remove(&run_id);
            }
        }
    }
}

fn done<T: Send + 'static>(value: T) -> StoreFuture<'static, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Store for MemoryStore {
    fn keeps(&self) -> Keeps {
        self.limits.keeps
    }

    fn open_run(&self, run_id: &str, run: StoredRun) -> StoreFuture<'_, ()> {
        let mut data = self.data();
        self.forget_old_runs(&mut data);
        data.runs.insert(
            run_id.into(),
            Run {
                known: run,
                events: Vec::new(),
            },
        );
        done(())
    }

    fn close_run(&self, run_id: &str, state: RunState) -> StoreFuture<'_, ()> {
        let mut data = self.data();
        if let Some(run) = data.runs.get_mut(run_id)
            && run.known.state == RunState::Running
        {
            run.known.state = state;
            data.finished
                .push_back((self.clock.now_millis(), run_id.into()));
            self.forget_old_runs(&mut data);
        }
        done(())
    }

    fn run(&self, run_id: &str) -> StoreFuture<'_, Option<StoredRun>> {
        let mut data = self.data();
        self.forget_old_runs(&mut data);
        done(data.runs.get(run_id).map(|run| run.known.clone()))
    }

    fn append(&self, run_id: &str, event: StoredEvent) -> Option<StoreFuture<'static, ()>> {
        if let Some(run) = self.data().runs.get_mut(run_id) {
            run.events.push(event);
            return None;
        }
        let error = StoreError(format!("the run '{run_id}' is not open"));
        Some(Box::pin(std::future::ready(Err(error))))
    }

    fn events(
        &self,
        run_id: &str,
        after: Option<u64>,
        limit: usize,
    ) -> StoreFuture<'_, Vec<StoredEvent>> {
        let first = after.map_or(0, |after| after.saturating_add(1));
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let data = self.data();
        // Numbers have no gaps: an event stands at the place of its number.
        let events = data
            .runs
            .get(run_id)
            .map(|run| run.events.iter().skip(first).take(limit).cloned().collect())
            .unwrap_or_default();
        done(events)
    }

    fn load_conversation(
        &self,
        key: &ConversationKey,
    ) -> StoreFuture<'_, Option<StoredConversation>> {
        done(self.data().conversations.get(key).cloned())
    }

    fn save_conversation(
        &self,
        key: ConversationKey,
        items: Vec<Item>,
        expected: Option<u64>,
    ) -> StoreFuture<'_, Saved> {
        let mut data = self.data();
        let present = data.conversations.get(&key).map(|stored| stored.version);
        if let (Some(present), Some(expected)) = (present, expected)
            && present != expected
        {
            return done(Saved::Conflict);
        }
        let version = present.unwrap_or(0) + 1;
        if present.is_none() {
            data.conversation_order.push_back(key.clone());
            if data.conversation_order.len() > self.limits.conversations
                && let Some(oldest) = data.conversation_order.pop_front()
            {
                data.conversations.remove(&oldest);
            }
        }
        data.conversations.insert(
            key,
            StoredConversation {
                items: Arc::new(items),
                version,
            },
        );
        done(Saved::Version(version))
    }

    fn state(&self, instance: &str, key: &str) -> StoreFuture<'_, Option<Value>> {
        done(
            self.data()
                .state
                .get(&(instance.into(), key.into()))
                .cloned(),
        )
    }

    fn set_state(
        &self,
        instance: &str,
        key: &str,
        expected: Expected,
        value: Value,
    ) -> StoreFuture<'_, bool> {
        let mut data = self.data();
        let place = (instance.to_owned(), key.to_owned());
        if let Expected::Is(expected) = expected
            && data.state.get(&place) != expected.as_ref()
        {
            return done(false);
        }
        if value.is_null() {
            data.state.remove(&place);
        } else if data.state.len() < self.limits.state_keys || data.state.contains_key(&place) {
            data.state.insert(place, value);
        } else {
            let limit = self.limits.state_keys;
            let error = StoreError(format!("the state of plugins is full ({limit} keys)"));
            return Box::pin(std::future::ready(Err(error)));
        }
        done(true)
    }
}

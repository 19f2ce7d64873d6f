//! No store: runs live as long as they run, and plugins share what state there is in memory.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Acknowledge, Appended, ConversationKey, ConversationSave, EventBatch, Expected, Finish,
    Finished, Keeps, MemoryStore, Saved, Store, StoreError, StoreFuture, StoredConversation,
    StoredRun,
};

/// Keeps nothing but the state of plugins.
pub(crate) struct NoStore {
    state: MemoryStore,
}

impl NoStore {
    pub(crate) fn new(state: MemoryStore) -> Self {
        Self { state }
    }
}

fn done<T: Send + 'static>(value: T) -> StoreFuture<'static, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Store for NoStore {
    fn keeps(&self) -> Keeps {
        Keeps {
            streams: false,
            conversations: false,
            runtime_state: false,
        }
    }

    fn open_run(&self, _run_id: &str, _run: StoredRun) {}

    fn finish_run(&self, _run_id: &str, _finish: Finish) -> StoreFuture<'static, Finished> {
        done(Finished::Won)
    }

    fn run(&self, _run_id: &str) -> StoreFuture<'_, Option<StoredRun>> {
        done(None)
    }

    fn append(
        &self,
        _run_id: &Arc<str>,
        _batch: EventBatch,
        _writer: Arc<dyn Acknowledge>,
    ) -> Result<Appended, StoreError> {
        Ok(Appended::Stored)
    }

    fn events(&self, _run_id: &str, _next: u64, _limit: u64) -> StoreFuture<'_, Vec<EventBatch>> {
        done(Vec::new())
    }

    fn load_conversation(
        &self,
        _key: &ConversationKey,
    ) -> StoreFuture<'_, Option<StoredConversation>> {
        done(None)
    }

    fn save_conversation(&self, _save: ConversationSave) -> StoreFuture<'_, Saved> {
        done(Saved::Version(0))
    }

    fn state(&self, instance: &str, key: &str) -> StoreFuture<'_, Option<Value>> {
        self.state.state(instance, key)
    }

    fn set_state(
        &self,
        instance: &str,
        key: &str,
        expected: Expected,
        value: Value,
    ) -> StoreFuture<'_, bool> {
        self.state.set_state(instance, key, expected, value)
    }
}

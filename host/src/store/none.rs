//! No store: runs live as long as they run; plugins share what state there is in memory, where what
//! principals have used is counted too.

use std::sync::Arc;

use mortise_plugin_api::Principal;
use serde_json::Value;

use super::{
    Acknowledge, Appended, AuditRecord, Begun, Booking, ConversationKey, DailyUsage, Entry,
    EventBatch, Expected, Finish, Finished, IdempotencyKey, JobChange, JobFilter, Keeps, KeyedRun,
    LeaseRequest, Leased, MemoryStore, RunFilter, Store, StoreError, StoreFuture,
    StoredConversation, StoredJob, StoredRun, UnfinishedRun,
};

/// Keeps nothing but the state of plugins, and counts.
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

    fn failure(&self) -> Option<StoreError> {
        None
    }

    fn open_run(&self, _run: StoredRun, _request: Option<String>) {}

    fn append(
        &self,
        _run_id: &Arc<str>,
        _entry: Entry,
        _writer: Arc<dyn Acknowledge>,
    ) -> Result<Appended, StoreError> {
        Ok(Appended::Stored)
    }

    fn finish_run(&self, _run_id: &Arc<str>, _finish: Finish) -> StoreFuture<'static, Finished> {
        done(Finished::Won)
    }

    fn end_run(&self, _run_id: &Arc<str>, _finish: Finish) {}

    fn run(&self, _run_id: &str) -> StoreFuture<'_, Option<StoredRun>> {
        done(None)
    }

    fn runs(&self, _filter: RunFilter) -> StoreFuture<'_, Vec<StoredRun>> {
        done(Vec::new())
    }

    fn unfinished_runs(&self) -> StoreFuture<'_, Vec<UnfinishedRun>> {
        done(Vec::new())
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

    fn delete_conversation(&self, _key: ConversationKey) -> StoreFuture<'static, bool> {
        done(false)
    }

    fn claim(
        &self,
        key: IdempotencyKey,
        run: KeyedRun,
        begun: Option<Begun>,
    ) -> StoreFuture<'static, Option<KeyedRun>> {
        self.state.claim(key, run, begun)
    }

    fn keeps_jobs(&self) -> bool {
        false
    }

    fn enqueue_job(&self, _job: StoredJob, _most: usize) -> StoreFuture<'static, bool> {
        let error = StoreError("store.url is \"none\", and jobs need a store".into());
        Box::pin(std::future::ready(Err(error)))
    }

    fn job(&self, _id: &str) -> StoreFuture<'_, Option<StoredJob>> {
        done(None)
    }

    fn jobs(&self, _filter: JobFilter) -> StoreFuture<'_, Vec<StoredJob>> {
        done(Vec::new())
    }

    fn lease_job(&self, _request: LeaseRequest) -> StoreFuture<'static, Leased> {
        done(Leased::Nothing { next_at: None })
    }

    fn change_job(&self, _id: &str, _change: JobChange) -> StoreFuture<'static, Option<StoredJob>> {
        done(None)
    }

    fn audit(&self, _record: AuditRecord) {}

    fn book(&self, booking: Booking) {
        self.state.book(booking);
    }

    fn usage(&self, owner: &Principal, since: u64) -> StoreFuture<'_, Vec<DailyUsage>> {
        self.state.usage(owner, since)
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
    ) -> StoreFuture<'static, bool> {
        self.state.set_state(instance, key, expected, value)
    }
}

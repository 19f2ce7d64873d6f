//! What outlives a run: its events, conversations, the state of plugins, and jobs.
//!
//! To add a noun: a type in `records.rs`, methods here, cases in `contract.rs`, then every backend.

mod events;
mod jobs;
mod memory;
mod none;
mod records;
mod sqlite;

#[cfg(test)]
pub(crate) mod contract;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::Principal;
use serde_json::Value;

pub(crate) use self::events::EventBatch;
pub(crate) use self::jobs::*;
use self::memory::MemoryStore;
use self::none::NoStore;
pub(crate) use self::records::*;
pub(crate) use self::sqlite::OpenError;
use self::sqlite::SqliteStore;
use crate::clock::Clock;
use crate::config::{self, Durability, StoreUrl};

pub(crate) type StoreFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

pub(crate) type OpenFuture<'a> = Pin<Box<dyn Future<Output = Result<(), OpenError>> + Send + 'a>>;

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store failed: {0}")]
pub(crate) struct StoreError(pub(crate) String);

/// What a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keeps {
    pub(crate) streams: bool,
    pub(crate) conversations: bool,
    /// Which run of a conversation is active.
    pub(crate) runtime_state: bool,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is stored.
    Stored,
    /// It is going to be stored in its turn; whoever appended it is told.
    Queued,
}

/// Whoever appended entries, and waits until their events may be shown. Called on the store's own
/// task: it must not wait.
pub(crate) trait Acknowledge: Send + Sync {
    /// One more entry is stored, the oldest that was not.
    fn stored(&self);
    /// Some are not, and no later one will be.
    fn failed(&self, error: &StoreError);
}

/// A backend.
///
/// What takes effect without a future never waits; what returns one is done even if the future is
/// dropped. Everything that is stored of one run is stored in the order of the calls.
pub(crate) trait Store: Send + Sync {
    /// What [`open`](Self::open) would fail for, but for another server that uses the store at
    /// present; without an effect.
    fn check(&self) -> OpenFuture<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Opens files; before that nothing but [`check`](Self::check) and [`keeps`](Self::keeps) may be
    /// called.
    fn open(&self) -> OpenFuture<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn keeps(&self) -> Keeps;
    /// Whether what is stored outlives the process, so that runs can go on after a crash.
    fn is_durable(&self) -> bool {
        false
    }
    /// Why nothing can be stored at present, where that is so.
    fn failure(&self) -> Option<StoreError>;

    /// Stores that a run has begun, before anything else that is stored of it; with what was asked
    /// for, as JSON, where the run can go on after a crash.
    fn open_run(&self, run: StoredRun, request: Option<String>);
    /// Stores an entry after all that were appended to the run before.
    fn append(
        &self,
        run_id: &Arc<str>,
        entry: Entry,
        writer: Arc<dyn Acknowledge>,
    ) -> Result<Appended, StoreError>;
    /// Stores the end of a run: all of it or nothing. It fails once where an entry of the run has
    /// failed, whatever came of the others.
    fn finish_run(&self, run_id: &Arc<str>, finish: Finish) -> StoreFuture<'static, Finished>;
    /// Stores the end of a run, without a conversation, as soon as it can: nobody waits for it. Its
    /// last words come behind what is stored, whatever their number.
    fn end_run(&self, run_id: &Arc<str>, finish: Finish);
    fn run(&self, run_id: &str) -> StoreFuture<'_, Option<StoredRun>>;
    /// A page of runs, the youngest first.
    fn runs(&self, filter: RunFilter) -> StoreFuture<'_, Vec<StoredRun>>;
    /// The runs that had not ended when the server did; asked once, before any run begins.
    fn unfinished_runs(&self) -> StoreFuture<'_, Vec<UnfinishedRun>>;
    /// The events from this number on, in order: about `limit` of them, at least one if there is
    /// one.
    fn events(&self, run_id: &str, next: u64, limit: u64) -> StoreFuture<'_, Vec<EventBatch>>;

    fn load_conversation(
        &self,
        key: &ConversationKey,
    ) -> StoreFuture<'_, Option<StoredConversation>>;
    /// Whether there was one.
    fn delete_conversation(&self, key: ConversationKey) -> StoreFuture<'static, bool>;

    /// The run that the key stands for. Where there is none the key stands for this one from now on,
    /// if it begins: what [`open_run`](Self::open_run) is told of it is stored with the key, where
    /// runs outlive the process.
    fn claim(
        &self,
        key: IdempotencyKey,
        run: KeyedRun,
        begun: Option<Begun>,
    ) -> StoreFuture<'static, Option<KeyedRun>>;

    /// Whether jobs are kept, at least as long as the process lives.
    fn keeps_jobs(&self) -> bool {
        true
    }
    /// Stores a job that is to be done; whether there was room for it beside `most` others.
    fn enqueue_job(&self, job: StoredJob, most: usize) -> StoreFuture<'static, bool>;
    fn job(&self, id: &str) -> StoreFuture<'_, Option<StoredJob>>;
    /// A page of jobs, the youngest first.
    fn jobs(&self, filter: JobFilter) -> StoreFuture<'_, Vec<StoredJob>>;
    /// Takes up the job that is due: that with the highest priority, of those the oldest.
    fn lease_job(&self, request: LeaseRequest) -> StoreFuture<'static, Leased>;
    /// The job as it stands after that, `None` where it may not change so.
    fn change_job(&self, id: &str, change: JobChange) -> StoreFuture<'static, Option<StoredJob>>;

    fn audit(&self, record: AuditRecord);

    /// Adds to what a principal has used on a day.
    fn book(&self, booking: Booking);
    /// What a principal has used, from this day on, the youngest day first; days on which it has
    /// used nothing are left out.
    fn usage(&self, owner: &Principal, since: u64) -> StoreFuture<'_, Vec<DailyUsage>>;

    fn state(&self, instance: &str, key: &str) -> StoreFuture<'_, Option<Value>>;
    /// Sets a value, `null` removes it; only over what is expected. Whether it did.
    fn set_state(
        &self,
        instance: &str,
        key: &str,
        expected: Expected,
        value: Value,
    ) -> StoreFuture<'static, bool>;

    /// Stores what is queued, and lets go of files.
    fn close(&self) -> StoreFuture<'static, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// How much a store keeps, and how safely.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) keeps: Keeps,
    /// Whether an event is safe from a loss of power before it is shown, or only from a crash.
    pub(crate) is_synced: bool,
    pub(crate) finished_runs: usize,
    pub(crate) finished_for: Duration,
    pub(crate) conversations: usize,
    pub(crate) state_keys: usize,
}

/// How many keys all plugins together may keep.
const STATE_KEYS: usize = 100_000;
/// For how many days it is remembered what principals have used.
const USAGE_DAYS: u64 = 400;

/// The store that the configuration asks for, not open yet.
pub(crate) fn of(section: &config::Store, clock: Clock) -> Arc<dyn Store> {
    let limits = Limits {
        keeps: Keeps {
            streams: section.streams,
            conversations: section.conversations,
            runtime_state: section.runtime_state,
        },
        is_synced: section.durability == Durability::Full,
        finished_runs: section.finished_runs(),
        finished_for: section.finished_for(),
        conversations: section.max_conversations,
        state_keys: STATE_KEYS,
    };
    match section.url() {
        StoreUrl::Sqlite(path) => Arc::new(SqliteStore::new(path, limits, clock)),
        StoreUrl::Memory => Arc::new(MemoryStore::new(limits, clock)),
        StoreUrl::None => Arc::new(NoStore::new(MemoryStore::new(limits, clock))),
    }
}

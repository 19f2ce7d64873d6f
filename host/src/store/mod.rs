//! What outlives a run: its events, conversations, the state of plugins.
//!
//! To add a noun: methods here, cases in `contract.rs`, then every backend.

mod events;
mod memory;
mod none;

#[cfg(test)]
mod contract;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use mortise_plugin_api::{Item, Principal};
use serde_json::Value;

pub(crate) use self::events::EventBatch;
pub(crate) use self::memory::{MemoryLimits, MemoryStore};
pub(crate) use self::none::NoStore;

pub(crate) type StoreFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
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

/// What became of a batch of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is stored.
    Stored,
    /// It is going to be stored in its turn; whoever appended it is told.
    Queued,
}

/// Whoever appended events, and waits until they may be shown. Called on the store's own thread:
/// it must not wait.
pub(crate) trait Acknowledge: Send + Sync {
    /// All events below this number are stored.
    fn stored(&self, end: u64);
    /// Some are not, and no later one will be.
    fn failed(&self, error: &StoreError);
}

/// Whose conversation with which agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ConversationKey {
    pub(crate) tenant: String,
    pub(crate) subject: String,
    pub(crate) agent: String,
    pub(crate) id: String,
}

/// A stored conversation; the version guards against lost updates.
#[derive(Debug, Clone)]
pub(crate) struct StoredConversation {
    pub(crate) items: Arc<Vec<Item>>,
    pub(crate) version: u64,
}

/// What became of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// Stored, with this version.
    Version(u64),
    /// Somebody else has stored since the load.
    Conflict,
}

/// A conversation that is to be stored.
#[derive(Debug)]
pub(crate) struct ConversationSave {
    pub(crate) key: ConversationKey,
    /// All of its items.
    pub(crate) items: Vec<Item>,
    /// The version that was loaded: nothing is stored over another one.
    pub(crate) expected: Option<u64>,
}

/// How a run ends.
#[derive(Debug)]
pub(crate) struct Finish {
    pub(crate) state: RunState,
    /// Its last events, which say so; `None` where events are not kept.
    pub(crate) last_words: Option<EventBatch>,
    pub(crate) conversation: Option<ConversationSave>,
}

/// What became of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// All of it is stored.
    Won,
    /// The run has ended before; nothing was stored.
    AlreadyTerminal,
    /// Somebody else has stored the conversation since the load; nothing was stored.
    ConversationConflict,
}

/// What is known of a stored run.
#[derive(Debug, Clone)]
pub(crate) struct StoredRun {
    pub(crate) owner: Arc<Principal>,
    pub(crate) agent: String,
    pub(crate) state: RunState,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Running,
    Finished,
    Failed,
    Aborted,
}

/// What must stand in a place before it is written.
#[derive(Debug)]
pub(crate) enum Expected {
    /// Whatever there is.
    Anything,
    /// This value, or none.
    Is(Option<Value>),
}

/// A durable backend.
pub(crate) trait Store: Send + Sync {
    fn keeps(&self) -> Keeps;

    /// Stores that a run has begun, before anything else that is stored of it.
    fn open_run(&self, run_id: &str, run: StoredRun);
    /// Stores the end of a run: all of it or nothing. It is done even if the future is dropped.
    fn finish_run(&self, run_id: &str, finish: Finish) -> StoreFuture<'static, Finished>;
    fn run(&self, run_id: &str) -> StoreFuture<'_, Option<StoredRun>>;

    /// Stores events after all that were appended to the run before. Never waits.
    fn append(
        &self,
        run_id: &Arc<str>,
        batch: EventBatch,
        writer: Arc<dyn Acknowledge>,
    ) -> Result<Appended, StoreError>;
    /// The events from this number on, in order: about `limit` of them, at least one if there is
    /// one.
    fn events(&self, run_id: &str, next: u64, limit: u64) -> StoreFuture<'_, Vec<EventBatch>>;

    fn load_conversation(
        &self,
        key: &ConversationKey,
    ) -> StoreFuture<'_, Option<StoredConversation>>;
    fn save_conversation(&self, save: ConversationSave) -> StoreFuture<'_, Saved>;

    fn state(&self, instance: &str, key: &str) -> StoreFuture<'_, Option<Value>>;
    /// Sets a value, `null` removes it; only over what is expected. Whether it did.
    fn set_state(
        &self,
        instance: &str,
        key: &str,
        expected: Expected,
        value: Value,
    ) -> StoreFuture<'_, bool>;
}

// === impl RunState ===

impl RunState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}

// === impl ConversationKey ===

impl ConversationKey {
    pub(crate) fn new(owner: &Principal, agent: &str, id: &str) -> Self {
        Self {
            tenant: owner.tenant.clone(),
            subject: owner.subject.clone(),
            agent: agent.into(),
            id: id.into(),
        }
    }
}

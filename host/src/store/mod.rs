//! What outlives a run: its events, conversations, the state of plugins.
//!
//! To add a noun: methods here, cases in `contract.rs`, then every backend.

mod memory;
mod none;

#[cfg(test)]
mod contract;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use mortise_plugin_api::{Item, Principal};
use serde_json::Value;

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

/// An event as it is stored: its JSON without `seq`.
#[derive(Debug, Clone)]
pub(crate) struct StoredEvent {
    pub(crate) seq: u64,
    pub(crate) json: Bytes,
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

    fn open_run(&self, run_id: &str, run: StoredRun) -> StoreFuture<'_, ()>;
    fn close_run(&self, run_id: &str, state: RunState) -> StoreFuture<'_, ()>;
    fn run(&self, run_id: &str) -> StoreFuture<'_, Option<StoredRun>>;

    /// `None` where it is stored already; no future is made on the hot path for nothing.
    fn append(&self, run_id: &str, event: StoredEvent) -> Option<StoreFuture<'static, ()>>;
    /// At most `limit` events after the cursor, in order.
    fn events(
        &self,
        run_id: &str,
        after: Option<u64>,
        limit: usize,
    ) -> StoreFuture<'_, Vec<StoredEvent>>;

    fn load_conversation(
        &self,
        key: &ConversationKey,
    ) -> StoreFuture<'_, Option<StoredConversation>>;
    /// Stores all items; with `expected`, only over that version.
    fn save_conversation(
        &self,
        key: ConversationKey,
        items: Vec<Item>,
        expected: Option<u64>,
    ) -> StoreFuture<'_, Saved>;

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

//! What is stored, whichever store it is.

use std::sync::Arc;

use mortise_plugin_api::{Item, Principal, TotalUsage};
use serde_json::Value;

use super::EventBatch;
use crate::config::Money;

/// How a run is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// As one JSON value: its events are not kept.
    Json,
    /// As a stream of events.
    Stream,
}

/// What is known of a stored run.
#[derive(Debug, Clone)]
pub(crate) struct StoredRun {
    pub(crate) id: Arc<str>,
    pub(crate) owner: Arc<Principal>,
    pub(crate) agent: Arc<str>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) answer: AnswerKind,
    pub(crate) created_at: u64,
    pub(crate) state: RunState,
    pub(crate) ended_at: Option<u64>,
    pub(crate) usage: Option<TotalUsage>,
}

/// A run that has begun, and what was asked for, as JSON, where it can go on after a crash.
pub(crate) type Begun = (StoredRun, Option<String>);

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Running,
    Finished,
    Failed,
    Aborted,
}

/// Which runs are wanted, the youngest first.
#[derive(Debug, Clone)]
pub(crate) struct RunFilter {
    pub(crate) whose: Whose,
    pub(crate) agent: Option<String>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) state: Option<RunState>,
    /// Only those that come after this one in the list: the last of the page before.
    pub(crate) before: Option<String>,
    pub(crate) limit: u32,
}

/// Whose runs are wanted.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    Everybody,
    Tenant(String),
    Principal(Arc<Principal>),
}

/// What is stored together: events, and what a run needs to go on after a crash.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) batch: Option<EventBatch>,
    pub(crate) marks: Vec<Mark>,
}

/// What a run needs to go on after a crash, as JSON that only the runtime reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Where it can go on from; earlier marks are forgotten.
    Checkpoint {
        json: String,
        /// The number of the event that comes next.
        next: u64,
    },
    /// The same within a step: what has happened to its calls is remembered.
    CheckpointInStep { json: String, next: u64 },
    /// What has happened since.
    Since(String),
}

/// A run that has not ended when the server did.
#[derive(Debug)]
pub(crate) struct UnfinishedRun {
    pub(crate) run: StoredRun,
    pub(crate) request: Option<String>,
    pub(crate) checkpoint: Option<StoredCheckpoint>,
    /// The number of the event that comes next.
    pub(crate) next: u64,
}

/// Where a run can go on from.
#[derive(Debug)]
pub(crate) struct StoredCheckpoint {
    pub(crate) json: String,
    /// The number of the event that came next when it was made.
    pub(crate) next: u64,
    /// What has happened since, in order.
    pub(crate) since: Vec<String>,
}

/// How a run ends.
#[derive(Debug)]
pub(crate) struct Finish {
    pub(crate) state: RunState,
    pub(crate) ended_at: u64,
    pub(crate) usage: Option<TotalUsage>,
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

/// A conversation that is to be stored.
#[derive(Debug)]
pub(crate) struct ConversationSave {
    pub(crate) key: ConversationKey,
    /// All of its items.
    pub(crate) items: Vec<Item>,
    /// The version that was loaded: nothing is stored over another one.
    pub(crate) expected: Option<u64>,
}

/// What must stand in a place before it is written.
#[derive(Debug)]
pub(crate) enum Expected {
    /// Whatever there is.
    Anything,
    /// This value, or none.
    Is(Option<Value>),
}

/// A key with which a client asks for the same run again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IdempotencyKey {
    pub(crate) tenant: String,
    pub(crate) subject: String,
    pub(crate) agent: String,
    pub(crate) key: String,
}

/// The run that a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyedRun {
    pub(crate) run_id: Arc<str>,
    /// A digest of what was asked for.
    pub(crate) request: String,
}

/// Something that somebody decided or did, for those who look later.
#[derive(Debug, Clone)]
pub(crate) struct AuditRecord {
    pub(crate) at: u64,
    pub(crate) principal: Arc<Principal>,
    /// `approve`, `deny`, `abort` and so on.
    pub(crate) action: &'static str,
    pub(crate) run_id: Option<Arc<str>>,
    pub(crate) detail: Value,
}

/// What was used, of which a principal's day is the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Used {
    /// Runs that have begun.
    pub(crate) runs: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) total_tokens: u64,
    pub(crate) cost: Money,
}

/// Something that a principal has used.
#[derive(Debug, Clone)]
pub(crate) struct Booking {
    pub(crate) owner: Arc<Principal>,
    /// In days since 1970, of UTC.
    pub(crate) day: u64,
    pub(crate) used: Used,
}

/// What a principal has used on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DailyUsage {
    pub(crate) day: u64,
    pub(crate) used: Used,
}

// === impl Used ===

impl std::ops::AddAssign for Used {
    fn add_assign(&mut self, more: Self) {
        self.runs = self.runs.saturating_add(more.runs);
        self.input_tokens = self.input_tokens.saturating_add(more.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(more.output_tokens);
        self.total_tokens = self.total_tokens.saturating_add(more.total_tokens);
        self.cost += more.cost;
    }
}

// === impl AnswerKind ===

impl AnswerKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Stream => "stream",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Json, Self::Stream]
            .into_iter()
            .find(|it| it.as_str() == name)
    }
}

// === impl RunState ===

impl RunState {
    const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Failed, Self::Aborted];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

// === impl RunFilter ===

impl RunFilter {
    pub(crate) fn wants(&self, run: &StoredRun) -> bool {
        let same = |wanted: &Option<String>, own: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| own == Some(wanted))
        };
        self.whose.includes(&run.owner)
            && same(&self.agent, Some(&run.agent))
            && same(&self.conversation_id, run.conversation_id.as_deref())
            && self.state.is_none_or(|state| run.state == state)
    }
}

// === impl Whose ===

impl Whose {
    /// Theirs; a subject without its tenant says nothing.
    pub(crate) fn of(tenant: Option<String>, subject: Option<String>) -> Self {
        match (tenant, subject) {
            (Some(tenant), Some(subject)) => {
                Self::Principal(Arc::new(Principal::new(subject).with_tenant(tenant)))
            }
            (Some(tenant), None) => Self::Tenant(tenant),
            (None, _) => Self::Everybody,
        }
    }

    pub(crate) fn includes(&self, owner: &Principal) -> bool {
        match self {
            Self::Everybody => true,
            Self::Tenant(tenant) => owner.tenant == *tenant,
            Self::Principal(principal) => owner == &**principal,
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

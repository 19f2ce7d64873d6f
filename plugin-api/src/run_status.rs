//! Runs as whoever may see them finds them: which there are, where they stand, what they show.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Event;
use crate::message::TotalUsage;
use crate::principal::Principal;

/// An event of a run with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberedEvent {
    /// From 0, without gaps.
    pub seq: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunStatus {
    /// The run.
    pub run_id: String,
    /// Its agent.
    pub agent: String,
    /// `running`, `finished`, `failed` or `aborted`; `queued` for that of a job that has not begun.
    pub state: String,
    /// The number of the last event of a run that is alive, `None` while there is none.
    #[serde(default)]
    pub last_seq: Option<u64>,
    /// What it has used so far, `None` where that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TotalUsage>,
    /// Whose run it is.
    #[serde(default)]
    pub principal: Principal,
    /// The conversation that it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// When it began, in milliseconds since 1970.
    #[serde(default)]
    pub created_at: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// The calls that wait for somebody's approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<WaitingApproval>,
}

/// A tool call that waits for somebody's approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingApproval {
    /// The call.
    pub tool_call_id: String,
    /// The tool.
    pub tool_name: String,
    /// The exact arguments that are to be approved.
    pub tool_input: Value,
}

/// What came of a decision; see [`Host::decide`](crate::Host::decide).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It counts, for this call.
    Done(String),
    /// No call waits, or somebody else was faster.
    NothingWaits,
    /// The call waits, and this principal may not decide on it.
    NotAllowed,
}

/// Which runs are wanted; of everybody and of all agents, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunQuery {
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Of this subject of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// In this conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// After this one in the list: the last of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How many: 100 unless it says otherwise, at most 1000.
    pub limit: u32,
}

// === impl RunQuery ===

/// The latest hundred.
impl Default for RunQuery {
    fn default() -> Self {
        Self {
            tenant: None,
            subject: None,
            agent: None,
            conversation_id: None,
            before: None,
            limit: 100,
        }
    }
}

// === impl RunStatus ===

impl RunStatus {
    /// Where a run stands.
    pub fn new(run_id: String, agent: String, state: &str, last_seq: Option<u64>) -> Self {
        Self {
            run_id,
            agent,
            state: state.into(),
            last_seq,
            principal: Principal::default(),
            conversation_id: None,
            created_at: 0,
            ended_at: None,
            approvals: Vec::new(),
            usage: None,
        }
    }
}

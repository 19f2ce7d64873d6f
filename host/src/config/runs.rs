//! The `[runs]` section: what every run may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Deadline, Period};

/// What every run may take.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Runs {
    /// What becomes of a run when the client that watches it hangs up. `"continue"` needs
    /// `store.streams`.
    pub on_request_disconnect: OnRequestDisconnect,
    /// How long a run waits for the client's result of a client tool.
    pub client_tool_result_timeout: Deadline,
    /// How long a run waits for somebody to approve a tool call.
    pub tool_approval_timeout: Deadline,
    /// How often a silent event stream says that it is alive.
    pub sse_heartbeat: Period,
    /// How long one run may take, waits included.
    pub max_duration: Deadline,
    /// How long one tool call may take; `delegate_task` has no limit of its own.
    pub tool_timeout: Period,
    /// How long one hook may take.
    pub hook_timeout: Period,
    /// How long plugin code may go on after it was told to stop. The call of a model is dropped at
    /// once.
    pub cancel_grace: Period,
    /// How many agents may stand in a row of which each hands tasks to the next.
    #[schemars(range(min = 1))]
    pub max_agent_depth: u32,
    /// How many events one reader may lag behind. A reader that lags more goes on from the store;
    /// where events are not kept, its stream is cut.
    #[schemars(range(min = 16))]
    pub event_queue: usize,
    /// Whether `RUN_FINISHED` and the answer of a JSON run tell, in `usage`, what the whole run has
    /// used and what it cost, beside what its last answer has.
    pub total_usage: bool,
}

/// What becomes of a run when the client that watches it hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRequestDisconnect {
    /// It ends.
    Abort,
    /// It goes on, and the client may come back to it.
    Continue,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            on_request_disconnect: OnRequestDisconnect::Abort,
            client_tool_result_timeout: Deadline::from_secs(30),
            tool_approval_timeout: Deadline::from_secs(30),
            sse_heartbeat: Period::from_secs(15),
            max_duration: Deadline::from_secs(60 * 60),
            tool_timeout: Period::from_secs(5 * 60),
            hook_timeout: Period::from_secs(10),
            cancel_grace: Period::from_secs(1),
            max_agent_depth: 5,
            event_queue: 1024,
            total_usage: false,
        }
    }
}

//! The runtime: every run of this server, whoever started it.

use std::sync::Arc;

use mortise_plugin_api::Principal;
use serde_json::Value;

use super::api::{
    AgentSummary, Caller, Conversation, Finished, ReadOutcome, Resume, RunOutcome, RunRequest,
    Streamed,
};

/// Every run of this server.
pub(crate) struct Runtime {}

/// Follows the log of one run. Dropping a live reader tells the run that its client has gone.
pub(crate) struct Reader {}

/// A decision on an approval.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) approved: bool,
    pub(crate) note: Option<String>,
    pub(crate) actor_id: Option<String>,
}

impl Runtime {
    /// The exposed agents, in the order of their names.
    pub(crate) fn agents(&self) -> Vec<AgentSummary> {
        unimplemented!()
    }

    /// Runs and waits; dropping the future aborts the run.
    pub(crate) async fn run(
        &self,
        _agent: &str,
        _request: RunRequest,
        _caller: Caller,
    ) -> RunOutcome<Finished> {
        unimplemented!()
    }

    /// Starts a streamed run. Fails only for an unknown agent; everything else comes in the stream.
    pub(crate) fn stream(
        &self,
        _agent: &str,
        _request: RunRequest,
        _caller: Caller,
    ) -> RunOutcome<Streamed> {
        unimplemented!()
    }

    /// Aborts a run of this principal; whether there was one.
    pub(crate) fn abort(&self, _run_id: &str, _principal: &Principal) -> bool {
        unimplemented!()
    }

    /// Answers a client tool; whether the call was pending.
    pub(crate) fn submit_tool_result(
        &self,
        _run_id: &str,
        _call_id: &str,
        _result: Result<Value, String>,
        _principal: &Principal,
    ) -> bool {
        unimplemented!()
    }

    /// Decides on an approval; whether it was pending.
    pub(crate) fn submit_approval(
        &self,
        _run_id: &str,
        _call_id: &str,
        _decision: Decision,
        _principal: &Arc<Principal>,
    ) -> bool {
        unimplemented!()
    }

    /// The stored items; `Err` `NOT_FOUND` for an unknown agent.
    pub(crate) async fn conversation(
        &self,
        _agent: &str,
        _id: &str,
        _principal: &Principal,
    ) -> RunOutcome<Conversation> {
        unimplemented!()
    }

    /// The log of a run after a cursor, then live.
    pub(crate) async fn resume_stream(
        &self,
        _run_id: &str,
        _after: Option<u64>,
        _principal: &Principal,
    ) -> RunOutcome<Resume> {
        unimplemented!()
    }

    /// The active run of a conversation; `None` where there is none. `Err` for an unknown agent.
    pub(crate) async fn resume_conversation(
        &self,
        _agent: &str,
        _id: &str,
        _after: Option<u64>,
        _principal: &Principal,
    ) -> RunOutcome<Option<Reader>> {
        unimplemented!()
    }
}

impl Reader {
    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> ReadOutcome {
        unimplemented!()
    }
}

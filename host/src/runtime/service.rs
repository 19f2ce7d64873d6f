//! The runtime: every run of this server, whoever started it.

use std::sync::Arc;

use mortise_plugin_api::{Error, Principal};
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::active::{ActiveRun, ClientResult, Decision};
use super::agents::AgentSpec;
use super::api::{AgentSummary, RunOutcome, ToolSummary};
use super::engine::Engine;
use crate::metrics::Metrics;
use crate::store::StoreError;

/// Every run of this server, as far as whoever holds this may reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runtime {
    pub(super) engine: Arc<Engine>,
    reach: Reach,
}

/// What may be found through a [`Runtime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Exposed agents, and the runs of the principal that asks: what clients may.
    Own,
    /// Every agent and every run: code of this process is as trusted as the server.
    Everything,
}

// === impl Runtime ===

impl Runtime {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(engine),
            reach: Reach::Own,
        }
    }

    /// The same runs for code that is as trusted as the server: every agent, and every run by its
    /// id, whoever owns it.
    pub(crate) fn unrestricted(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            reach: Reach::Everything,
        }
    }

    /// The same runs for a client: exposed agents, and what its principal owns.
    pub(crate) fn restricted(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            reach: Reach::Own,
        }
    }

    /// The exposed agents, in the order of their names.
    pub(crate) fn agents(&self) -> Vec<AgentSummary> {
        self.engine.agents.now().summaries()
    }

    /// The tools that clients may call themselves, by their names.
    pub(crate) fn tool_endpoints(&self) -> Vec<ToolSummary> {
        self.engine.agents.now().endpoint_summaries()
    }

    /// Says which tools are named and not there, of those that come and go.
    pub(crate) fn warn_of_missing_tools(&self) {
        self.engine.agents.warn_of_missing();
    }

    /// Aborts a run of this principal; whether there was one. That of a job ends the job.
    pub(crate) async fn abort(&self, run_id: &str, principal: &Arc<Principal>) -> RunOutcome<bool> {
        if let Some(job) = self.job_of_alias(run_id).await? {
            let is_own = self.reaches(&job.job.principal, principal);
            return Ok(is_own && self.cancel_job(&job.job.id, principal).await?);
        }
        let Some(run) = self.active(run_id, principal) else {
            return Ok(false);
        };
        // A job that is not cancelled itself would be done again.
        if let Some(job_id) = run.job.get()
            && self.cancel_job(job_id, principal).await?
        {
            return Ok(true);
        }
        run.cancel.cancel();
        self.engine
            .audit("abort", principal, Some(&run.id), Value::Null);
        Ok(true)
    }

    /// Answers a client tool; whether the call was pending.
    pub(crate) async fn submit_tool_result(
        &self,
        run_id: &str,
        call_id: &str,
        result: ClientResult,
        principal: &Principal,
    ) -> RunOutcome<bool> {
        let run_id = self.run_named(run_id).await?;
        let run = self.active(&run_id, principal);
        match run.and_then(|run| run.waiting_for(call_id)) {
            Some(run) => run.submit_result(call_id, result).await,
            None => Ok(false),
        }
    }

    /// Decides on an approval; whether it was pending.
    pub(crate) async fn submit_approval(
        &self,
        run_id: &str,
        call_id: &str,
        decision: Decision,
        principal: &Arc<Principal>,
    ) -> RunOutcome<bool> {
        let run = self.engine.active.get(&self.run_named(run_id).await?);
        let Some(run) = run.and_then(|run| run.waiting_for(call_id)) else {
            return Ok(false);
        };
        let Some(tool) = run.pending_tool(call_id) else {
            return Ok(false);
        };
        if self.reach == Reach::Own && !run.may_decide(&tool, principal) {
            return Ok(false);
        }
        let action = if decision.approved { "approve" } else { "deny" };
        let detail = json!({
            "toolCallId": call_id,
            "toolName": tool.info.name,
            "actorId": decision.actor_id,
            "note": decision.note,
        });
        let remember = || self.engine.audit(action, principal, Some(&run.id), detail);
        run.submit_decision(call_id, decision, remember).await
    }

    /// Why nothing can be stored at present, where that is so.
    pub(crate) fn store_failure(&self) -> Option<StoreError> {
        self.engine.store.failure()
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.engine.metrics
    }

    /// Brings up to date what is not counted as it happens.
    pub(crate) fn measure(&self) {
        self.engine.measure();
    }

    /// Leaves the runs that wait, where they can go on later, to the next start.
    pub(crate) fn park_all(&self) {
        self.engine.parking.cancel();
    }

    /// Aborts every run: the server stops.
    pub(crate) fn abort_all(&self) {
        self.engine.active.abort_all();
    }

    /// The agent of this name, if it may be reached.
    pub(super) fn agent(&self, name: &str) -> RunOutcome<Arc<AgentSpec>> {
        self.engine
            .agents
            .now()
            .get(name)
            .filter(|agent| agent.exposed || self.reach == Reach::Everything)
            .cloned()
            .ok_or_else(|| unknown_agent(name))
    }

    /// The run, if it is alive and may be reached.
    pub(super) fn active(&self, run_id: &str, principal: &Principal) -> Option<Arc<ActiveRun>> {
        let run = self.engine.active.get(run_id)?;
        self.reaches(&run.owner, principal).then_some(run)
    }

    pub(super) fn reaches(&self, owner: &Principal, principal: &Principal) -> bool {
        self.reach == Reach::Everything || owner == principal
    }

    /// Does something to its end, also when whoever asks for it goes.
    pub(crate) fn complete<T: Send + 'static>(
        &self,
        future: impl Future<Output = RunOutcome<T>> + Send + 'static,
    ) -> impl Future<Output = RunOutcome<T>> + Send {
        let future = future.instrument(tracing::Span::current());
        let completed = self.engine.tasks.complete(future);
        async move {
            let completed = completed.await;
            completed.unwrap_or_else(|| Err(Error::unavailable("The server is stopping.")))
        }
    }
}

/// The error for an agent that is not there, or is not exposed.
pub(super) fn unknown_agent(name: &str) -> Error {
    Error::not_found(format!("Agent '{name}' does not exist.")).with_context("agentName", name)
}

//! Approvals: asked for, waited for, and what a decision means for the call.

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{ApprovalDecision, ApprovalState, ApprovalStatus, Error, Event, Result};
use serde_json::Value;
use tokio::sync::oneshot;

use super::Execution;
use crate::config::Deadline;
use crate::runtime::active::{Decision, WaitingApproval};
use crate::runtime::checkpoint::{ApprovalEnd, Happened, RequestedApproval};
use crate::runtime::failure;
use crate::runtime::step::stoppable;

// === impl Execution ===

impl Execution<'_> {
    /// Has the call approved, where it must be; `Some` is the result of a denied call.
    pub(super) async fn approve(&mut self, arguments: &Value) -> Result<Option<Value>> {
        let requested = match self.past(|progress| &mut progress.requested) {
            Some(requested) => Some(requested),
            None => self.requested_approval(arguments).await?,
        };
        match requested {
            Some(requested) => self.await_approval(requested).await,
            None => Ok(None),
        }
    }

    /// Asks for the approval of this call, if it must be approved.
    async fn requested_approval(&mut self, arguments: &Value) -> Result<Option<RequestedApproval>> {
        let Some(approval) = &self.tool.info.approval else {
            return Ok(None);
        };
        let mut decided = ApprovalDecision::default();
        if let (true, Some(tool)) = (approval.per_call, self.tool.capability()) {
            let asked = tool.approval(Arc::clone(&self.access), arguments);
            decided = stoppable(self.engine, self.run, asked).await?;
        }
        if !decided.required.unwrap_or(approval.required) {
            return Ok(None);
        }
        let decided_timeout = decided
            .timeout_ms
            .map(Duration::from_millis)
            .map(Deadline::After);
        let requested = self.run.request.tool_approval_timeout.map(Deadline::After);
        let timeout = decided_timeout
            .or(self.tool.approval_timeout)
            .or(requested)
            .or(self.run.agent.tool_approval_timeout)
            .unwrap_or(self.engine.limits.tool_approval_timeout);
        let requested = RequestedApproval {
            arguments: arguments.clone(),
            meta: decided.meta.or_else(|| approval.meta.clone()),
            requested_at: self.engine.clock.now_millis(),
            expires: self.deadline(timeout),
        };
        self.show_request(&requested).await?;
        Ok(Some(requested))
    }

    async fn show_request(&mut self, requested: &RequestedApproval) -> Result<()> {
        // Before it is shown: a decision may come as soon as somebody can see the request.
        self.decision = Some(self.expect_decision(requested));
        let timestamp = self.engine.clock.now_millis();
        let approval = state_of(requested, ApprovalStatus::Requested, None);
        let required = Event::ToolApprovalRequired {
            call: self.reference(),
            approval: approval.clone(),
            timestamp,
        };
        let updated = Event::ToolApprovalUpdated {
            call: self.reference(),
            approval,
            timestamp,
        };
        self.emit(required).await?;
        // With the last of the events that show it.
        let mark = Happened::ApprovalRequested(requested.clone());
        if self.call.end_is_held {
            self.emit(updated).await?;
            self.mark_with_next(mark)?;
            self.show_held_end().await
        } else {
            self.mark_with_next(mark)?;
            self.emit(updated).await
        }
    }

    fn expect_decision(&self, requested: &RequestedApproval) -> oneshot::Receiver<Decision> {
        let waiting = WaitingApproval {
            tool: self.call.name.clone(),
            requested: requested.clone(),
        };
        self.run.expect_decision(&self.call.call_id, waiting)
    }

    /// Waits for a decision; `Some` is the result of a denied call.
    async fn await_approval(&mut self, requested: RequestedApproval) -> Result<Option<Value>> {
        if let Some(shown) = self.past(|progress| &mut progress.shown) {
            return self.outcome_of(shown);
        }
        let end = match self.past(|progress| &mut progress.decision) {
            Some(decision) => ApprovalEnd::Decided(decision),
            None => self.await_decision(&requested).await?,
        };
        let (status, decision) = match &end {
            ApprovalEnd::Expired => (ApprovalStatus::Expired, None),
            ApprovalEnd::Decided(decision) if decision.approved => {
                (ApprovalStatus::Approved, Some(decision))
            }
            ApprovalEnd::Decided(decision) => (ApprovalStatus::Denied, Some(decision)),
        };
        // The client of a client tool may answer as soon as it sees the approval.
        if status == ApprovalStatus::Approved && self.tool.is_client() {
            self.call.early_result = Some(self.run.expect_result(&self.call.call_id));
        }
        self.mark_with_next(Happened::ApprovalEnded(end.clone()))?;
        let updated = Event::ToolApprovalUpdated {
            call: self.reference(),
            approval: state_of(&requested, status, decision),
            timestamp: self.engine.clock.now_millis(),
        };
        self.emit(updated).await?;
        self.outcome_of(end)
    }

    async fn await_decision(&mut self, requested: &RequestedApproval) -> Result<ApprovalEnd> {
        let call_id = &self.call.call_id;
        let mut decision = match self.decision.take() {
            Some(decision) => decision,
            None => self.expect_decision(requested),
        };
        self.run.log.flush();
        let decided = tokio::select! {
            biased;
            decided = &mut decision => decided.ok(),
            () = self.run.cancel.cancelled() => {
                let message = format!(
                    "Run '{}' was aborted while waiting for approval of '{}'.",
                    self.run.id, self.call.name,
                );
                return Err(self.about_this_call(Error::aborted(message)));
            }
            () = self.engine.parked(self.run) => return Err(failure::parked()),
            () = self.passed(requested.expires) => {
                if self.run.expect_nothing(call_id) {
                    None
                } else {
                    decision.await.ok()
                }
            }
        };
        Ok(decided.map_or(ApprovalEnd::Expired, ApprovalEnd::Decided))
    }

    /// `Some` is the result of a denied call; an approval that expired fails the run.
    fn outcome_of(&self, end: ApprovalEnd) -> Result<Option<Value>> {
        match end {
            ApprovalEnd::Decided(Decision { approved: true, .. }) => Ok(None),
            ApprovalEnd::Decided(Decision { note, .. }) => {
                let reason = note
                    .filter(|note| !note.is_empty())
                    .map(|note| format!(" Reason: {note}"))
                    .unwrap_or_default();
                let denied = format!(
                    "Tool '{}' was denied by the operator.{reason}",
                    self.call.name
                );
                Ok(Some(denied.into()))
            }
            ApprovalEnd::Expired => {
                let message = format!("Timed out waiting for approval of '{}'.", self.call.name);
                Err(self.about_this_call(Error::timeout(message)))
            }
        }
    }
}

fn state_of(
    requested: &RequestedApproval,
    state: ApprovalStatus,
    decision: Option<&Decision>,
) -> ApprovalState {
    ApprovalState {
        state,
        tool_input: requested.arguments.clone(),
        meta: requested.meta.clone(),
        note: decision.and_then(|decision| decision.note.clone()),
        actor_id: decision.and_then(|decision| decision.actor_id.clone()),
    }
}

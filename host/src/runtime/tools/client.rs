//! Client tools: the client runs them and sends the result.

use mortise_plugin_api::{Error, Result, ToolErrorKind};

use super::{CallError, Ended, Execution};
use crate::config::Deadline;
use crate::runtime::active::ClientResult;
use crate::runtime::checkpoint::Happened;
use crate::runtime::failure;

// === impl Execution ===

impl Execution<'_> {
    pub(super) async fn await_client(&mut self) -> Result<Result<Ended, CallError>> {
        if let Some(result) = self.past(|progress| &mut progress.client_result) {
            return Ok(client_answered(result));
        }
        let mut answer = match self.call.early_result.take() {
            Some(answer) => answer,
            None => self.run.expect_result(&self.call.call_id),
        };
        let requested = self
            .run
            .request
            .client_tool_result_timeout
            .map(Deadline::After);
        let timeout = requested
            .or(self.tool.result_timeout)
            .or(self.run.agent.client_tool_result_timeout)
            .unwrap_or(self.engine.limits.client_tool_result_timeout);
        let until = if let Some(until) = self.past(|progress| &mut progress.awaited) {
            until
        } else {
            let until = self.deadline(timeout);
            let mark = self.happened(Happened::ClientAwaited(until));
            self.run.log.mark(&mark)?;
            until
        };
        self.run.log.flush();
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered.ok(),
            () = self.run.cancel.cancelled() => {
                let message = format!(
                    "Run '{}' was aborted while waiting for client tool result for '{}'.",
                    self.run.id, self.call.name,
                );
                return Err(self.about_this_call(Error::aborted(message)));
            }
            () = self.engine.parked(self.run) => return Err(failure::parked()),
            () = self.passed(until) => {
                if self.run.expect_nothing(&self.call.call_id) {
                    None
                } else {
                    answer.await.ok()
                }
            }
        };
        Ok(if let Some(result) = answered {
            client_answered(result)
        } else {
            let message = format!(
                "Timed out waiting for client tool result for '{}'.",
                self.call.name
            );
            let cause = self.about_this_call(Error::timeout(message.as_str()));
            let kind = ToolErrorKind::Execution;
            Err(CallError {
                kind,
                message,
                retryable: Some(true),
                cause,
            })
        })
    }
}

fn client_answered(result: ClientResult) -> Result<Ended, CallError> {
    result.map(Ended::Fine).map_err(|message| CallError {
        kind: ToolErrorKind::Execution,
        cause: Error::tool(message.as_str()),
        message,
        retryable: Some(false),
    })
}

//! Calls that fail: what becomes of that, and what the model reads.

use mortise_plugin_api::{Error, Result, ToolErrorAnswer, ToolErrorKind, ToolErrorMode};
use serde_json::{Value, json};

use super::{CallOutcome, Execution, PendingCall};
use crate::runtime::agents::AgentKind;

/// Why a call failed, before anybody has decided what becomes of that.
pub(super) struct CallError {
    pub(super) kind: ToolErrorKind,
    pub(super) message: String,
    pub(super) retryable: Option<bool>,
    /// What the run fails with, where it does.
    pub(super) cause: Error,
}

/// How a call ended: with a result, or with an error that the model reads.
pub(super) enum Ended {
    Fine(Value),
    /// Nobody approved; the model reads this.
    Denied(Value),
    Failed(CallError, String),
}

// === impl Execution ===

impl Execution<'_> {
    pub(super) fn execution_error(&self, error: Error) -> CallError {
        // What was not said for others stays inside: it may be what a database said.
        let code = Some(error.public_code()).filter(|&code| code != Error::INTERNAL);
        let message = if code.is_some() {
            error.message().to_owned()
        } else {
            tracing::warn!(
                tool = self.call.name, run_id = &*self.run.id, %error,
                "a tool failed; the model is not told why"
            );
            format!("The tool '{}' failed.", self.call.name)
        };
        CallError {
            kind: ToolErrorKind::Execution,
            message,
            retryable: code
                .filter(|&code| code != Error::TOOL)
                .map(|_| error.is_retryable()),
            cause: error,
        }
    }

    pub(super) async fn answer_error(&self, failed: CallError) -> Result<Ended> {
        let answer = self.ask_error_hooks(&failed, 1).await?;
        self.settle(failed, answer)
    }

    /// What becomes of a failed call in the end.
    pub(super) fn settle(&self, failed: CallError, answer: ToolErrorAnswer) -> Result<Ended> {
        let is_endpoint = matches!(self.run.agent.kind, AgentKind::ToolEndpoint);
        let own_mode = self.tool.info.error_mode.filter(|_| !is_endpoint);
        let mode = own_mode.unwrap_or(self.run.agent.tool_error_mode);
        let thrown = |failed: CallError| match failed.cause.code() {
            // Whoever calls a tool itself reads what a model would.
            None if is_endpoint => Error::tool(failed.message),
            Some(Error::TOOL) if !is_endpoint => Error::internal(failed.cause.message()),
            _ => failed.cause,
        };
        match answer {
            ToolErrorAnswer::Result(value) => return Ok(Ended::Fine(value)),
            ToolErrorAnswer::Throw => return Err(thrown(failed)),
            ToolErrorAnswer::SendToModel(message) => {
                let failed = CallError { message, ..failed };
                return Ok(Ended::Failed(failed, self.call.name.clone()));
            }
            _ => {}
        }
        if mode == ToolErrorMode::Throw {
            tracing::warn!(tool = self.call.name, run_id = &*self.run.id, error = %failed.cause, "a tool failed its run");
            return Err(thrown(failed));
        }
        tracing::debug!(tool = self.call.name, run_id = &*self.run.id, error = %failed.cause, "a tool failed");
        Ok(Ended::Failed(failed, self.call.name.clone()))
    }
}

// === impl CallError ===

impl CallError {
    /// The cause as others may know it.
    fn shown(&self) -> Error {
        if self.cause.public_code() == Error::INTERNAL {
            return Error::tool(self.message.as_str());
        }
        self.cause.clone().with_message(self.message.as_str())
    }
}

// === impl Ended ===

impl Ended {
    pub(super) fn into_parts(self) -> (CallOutcome, Option<String>, Option<ToolErrorKind>) {
        match self {
            Self::Fine(result) => (
                CallOutcome {
                    result,
                    is_error: false,
                    error: None,
                },
                None,
                None,
            ),
            Self::Denied(result) => (
                CallOutcome {
                    error: Some(Error::new(
                        Error::DENIED,
                        result.as_str().unwrap_or_default(),
                    )),
                    result,
                    is_error: false,
                },
                None,
                None,
            ),
            Self::Failed(error, tool) => {
                let mut result = json!({
                    "type": "tool_error",
                    "toolName": tool,
                    "errorKind": error.kind,
                    "message": error.message,
                });
                if let Some(retryable) = error.retryable {
                    result["retryable"] = retryable.into();
                }
                (
                    CallOutcome {
                        result,
                        is_error: true,
                        error: Some(error.shown()),
                    },
                    Some(error.message),
                    Some(error.kind),
                )
            }
        }
    }
}

pub(super) fn parse_error(call: &PendingCall) -> CallError {
    let cause = format!("Failed to parse arguments for tool '{}'", call.name);
    CallError {
        kind: ToolErrorKind::Parse,
        message: format!("Tool arguments could not be parsed as valid JSON. {cause}"),
        cause: Error::invalid(cause)
            .with_context("toolName", call.name.as_str())
            .with_context("toolCallId", call.call_id.as_str()),
        retryable: Some(false),
    }
}

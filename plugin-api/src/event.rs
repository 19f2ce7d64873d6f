//! Run events: what is shown to whoever watches a run.
//!
//! The JSON form is the native wire form of an event, without `seq`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::message::{ModelResponse, TotalUsage, Visibility};

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// The run began.
    RunStarted {
        /// The run.
        run_id: String,
        /// Its agent.
        agent_name: String,
        /// `{input, context?}` as the client sent it.
        run_input: Value,
        /// When, in milliseconds since 1970.
        timestamp: u64,
        /// The conversation that it continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// The run ended well.
    RunFinished {
        /// The run.
        run_id: String,
        /// Its agent.
        agent_name: String,
        /// What came of it.
        result: RunResult,
        /// When.
        timestamp: u64,
        /// The conversation that it continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// The run failed.
    RunError {
        /// The run.
        run_id: String,
        /// Its agent.
        agent_name: String,
        /// The problem, in the form of RFC 7807.
        error: Value,
        /// When.
        timestamp: u64,
        /// The conversation that it continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// The run was aborted.
    RunAborted {
        /// The run.
        run_id: String,
        /// Its agent.
        agent_name: String,
        /// When.
        timestamp: u64,
        /// The conversation that it continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// A step began.
    StepStart {
        /// The run.
        run_id: String,
        /// Its agent.
        agent_name: String,
        /// From 0.
        step_index: u32,
        /// The step limit, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_steps: Option<u32>,
        /// When.
        timestamp: u64,
        /// The conversation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// A step ended.
    StepFinish {
        /// The run.
        run_id: String,
        /// Its agent.
        agent_name: String,
        /// From 0.
        step_index: u32,
        /// The step limit, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_steps: Option<u32>,
        /// How many tools the model called.
        tool_call_count: u32,
        /// Why no step follows; only on the last one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        termination_reason: Option<TerminationReason>,
        /// When.
        timestamp: u64,
        /// The conversation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// A step failed.
    StepError {
        /// The run.
        run_id: String,
        /// Its agent.
        agent_name: String,
        /// From 0.
        step_index: u32,
        /// The step limit, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_steps: Option<u32>,
        /// The problem, in the form of RFC 7807.
        error: Value,
        /// When.
        timestamp: u64,
        /// The conversation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// The model begins a tool call.
    ToolCallStart {
        /// The call.
        #[serde(flatten)]
        call: ToolCallRef,
        /// When.
        timestamp: u64,
    },
    /// More of the arguments of a call.
    ToolCallArgs {
        /// The call.
        #[serde(flatten)]
        call: ToolCallRef,
        /// The next piece of the arguments text.
        delta: String,
        /// When.
        timestamp: u64,
    },
    /// The arguments of a call are complete.
    ToolCallEnd {
        /// The call.
        #[serde(flatten)]
        call: ToolCallRef,
        /// When.
        timestamp: u64,
    },
    /// A call has its result.
    ToolCallResult {
        /// The call.
        #[serde(flatten)]
        call: ToolCallRef,
        /// The result, or a `tool_error` object.
        result: Value,
        /// Whether the tool failed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        /// At what it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_kind: Option<ToolErrorKind>,
        /// When.
        timestamp: u64,
    },
    /// A call waits for somebody's approval.
    ToolApprovalRequired {
        /// The call.
        #[serde(flatten)]
        call: ToolCallRef,
        /// What is asked for.
        #[serde(flatten)]
        approval: ApprovalState,
        /// When.
        timestamp: u64,
    },
    /// An approval was requested, given, denied, or ran out.
    ToolApprovalUpdated {
        /// The call.
        #[serde(flatten)]
        call: ToolCallRef,
        /// Where it stands.
        #[serde(flatten)]
        approval: ApprovalState,
        /// When.
        timestamp: u64,
    },
    /// A text begins.
    TextMessageStart {
        /// The message.
        message_id: String,
        /// Who speaks.
        role: String,
        /// When.
        timestamp: u64,
    },
    /// More of a text.
    TextMessageContent {
        /// The message.
        message_id: String,
        /// The next piece.
        delta: String,
        /// When.
        timestamp: u64,
    },
    /// A text is complete.
    TextMessageEnd {
        /// The message.
        message_id: String,
        /// When.
        timestamp: u64,
    },
    /// Reasoning begins.
    ReasoningMessageStart {
        /// The message.
        message_id: String,
        /// Who thinks.
        role: String,
        /// How much of it is shown.
        visibility: Visibility,
        /// When.
        timestamp: u64,
    },
    /// More reasoning.
    ReasoningMessageContent {
        /// The message.
        message_id: String,
        /// How much of it is shown.
        visibility: Visibility,
        /// The next piece.
        delta: String,
        /// When.
        timestamp: u64,
    },
    /// The reasoning is complete.
    ReasoningMessageEnd {
        /// The message.
        message_id: String,
        /// How much of it was shown.
        visibility: Visibility,
        /// When.
        timestamp: u64,
    },
    /// A value that a tool or an agent shows while it works.
    DataPart {
        /// An id by which later parts can refer to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The value.
        data: Value,
        /// When.
        timestamp: u64,
    },
    /// Any other event: an object with a `type`; kept as it is.
    #[serde(untagged)]
    Custom(Value),
}

/// Which call of which run an event tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallRef {
    /// The message that made the call.
    pub parent_message_id: String,
    /// The call.
    pub tool_call_id: String,
    /// The tool.
    pub tool_call_name: String,
    /// The run.
    pub run_id: String,
    /// Its agent.
    pub agent_name: String,
    /// Who runs the tool; absent for a tool that does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_target: Option<ToolTarget>,
}

/// Who runs a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolTarget {
    /// The server.
    #[default]
    Server,
    /// The client that watches the run.
    Client,
    /// The model's provider.
    Hosted,
}

/// Where an approval stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalState {
    /// Where it stands.
    pub state: ApprovalStatus,
    /// The exact arguments that are to be approved.
    pub tool_input: Value,
    /// What the tool says about the risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// What the decider said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who the decider claims to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
}

/// The states of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalStatus {
    /// Nobody has decided.
    Requested,
    /// The call may go ahead.
    Approved,
    /// It may not.
    Denied,
    /// Nobody decided in time.
    Expired,
}

/// At what a tool call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolErrorKind {
    /// The arguments are no JSON.
    Parse,
    /// They do not fit the schema.
    Validation,
    /// The tool itself failed.
    Execution,
}

/// Why a run had no further step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminationReason {
    /// The model called no tool.
    NoToolCalls,
    /// A hook stopped it.
    StopWhen,
    /// The step limit was reached.
    MaxSteps,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunResult {
    /// The last answer of the model.
    pub response: ModelResponse,
    /// The validated value, for agents with an output schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// What the run has used over all its answers, where the operator has it shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TotalUsage>,
}

// === impl Event ===

impl Event {
    /// The wire names of all events that are not a plugin's own.
    pub const KINDS: &'static [&'static str] = &[
        "RUN_STARTED",
        "RUN_FINISHED",
        "RUN_ERROR",
        "RUN_ABORTED",
        "STEP_START",
        "STEP_FINISH",
        "STEP_ERROR",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "TOOL_APPROVAL_REQUIRED",
        "TOOL_APPROVAL_UPDATED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "DATA_PART",
    ];

    /// The wire name, such as `TEXT_MESSAGE_CONTENT`.
    pub fn kind(&self) -> &str {
        match self {
            Self::RunStarted { .. } => "RUN_STARTED",
            Self::RunFinished { .. } => "RUN_FINISHED",
            Self::RunError { .. } => "RUN_ERROR",
            Self::RunAborted { .. } => "RUN_ABORTED",
            Self::StepStart { .. } => "STEP_START",
            Self::StepFinish { .. } => "STEP_FINISH",
            Self::StepError { .. } => "STEP_ERROR",
            Self::ToolCallStart { .. } => "TOOL_CALL_START",
            Self::ToolCallArgs { .. } => "TOOL_CALL_ARGS",
            Self::ToolCallEnd { .. } => "TOOL_CALL_END",
            Self::ToolCallResult { .. } => "TOOL_CALL_RESULT",
            Self::ToolApprovalRequired { .. } => "TOOL_APPROVAL_REQUIRED",
            Self::ToolApprovalUpdated { .. } => "TOOL_APPROVAL_UPDATED",
            Self::TextMessageStart { .. } => "TEXT_MESSAGE_START",
            Self::TextMessageContent { .. } => "TEXT_MESSAGE_CONTENT",
            Self::TextMessageEnd { .. } => "TEXT_MESSAGE_END",
            Self::ReasoningMessageStart { .. } => "REASONING_MESSAGE_START",
            Self::ReasoningMessageContent { .. } => "REASONING_MESSAGE_CONTENT",
            Self::ReasoningMessageEnd { .. } => "REASONING_MESSAGE_END",
            Self::DataPart { .. } => "DATA_PART",
            Self::Custom(value) => value
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        }
    }

    /// Whether it ends the run.
    pub fn ends_run(&self) -> bool {
        matches!(
            self,
            Self::RunFinished { .. } | Self::RunError { .. } | Self::RunAborted { .. }
        )
    }

    /// The event as a plugin may emit it: with a time, where its maker left that to the server.
    #[doc(hidden)]
    pub fn emitted(self, now: u64) -> Result<Self> {
        let mut event = self.in_place_of(&[])?;
        event.stamp(now);
        Ok(event)
    }

    /// The event as a plugin may show it in the place of others. What begins and ends a run is the
    /// host's: a plugin may change it, but not make it, nor make anything else of the end.
    #[doc(hidden)]
    pub fn in_place_of(self, others: &[Self]) -> Result<Self> {
        let event = self.well_formed()?;
        let kind = event.kind();
        let is_hosts = matches!(event, Self::RunStarted { .. }) || event.ends_run();
        if is_hosts && !others.iter().any(|other| other.kind() == kind) {
            return Err(Error::bad_request(format!("only the host emits {kind}")));
        }
        if let Some(end) = others.iter().find(|other| other.ends_run()) {
            let end = end.kind();
            if kind != end {
                let message = format!("the run ends with {end}, which {kind} cannot replace");
                return Err(Error::bad_request(message));
            }
        }
        Ok(event)
    }

    /// An event of a known type is what that type says, also where it was made as [`Custom`](Self::Custom).
    fn well_formed(self) -> Result<Self> {
        let Self::Custom(mut value) = self else {
            return Ok(self);
        };
        let Some(kind) = value["type"].as_str() else {
            let message = "an event is an object with a text `type`";
            return Err(Error::bad_request(message));
        };
        let Some(kind) = Self::KINDS.iter().find(|known| **known == kind) else {
            return Ok(Self::Custom(value));
        };
        if let Some(object) = value.as_object_mut() {
            object.entry("timestamp").or_insert(0.into());
        }
        match serde_json::from_value(value) {
            Ok(Self::Custom(_)) | Err(_) => {
                let message = format!("the event is not a well-formed {kind}");
                Err(Error::bad_request(message))
            }
            Ok(event) => Ok(event),
        }
    }

    /// What the run came to, where this is its end: `ABORTED` for one that was aborted.
    pub fn outcome(&self) -> Option<Result<RunResult>> {
        match self {
            Self::RunFinished { result, .. } => Some(Ok(result.clone())),
            Self::RunError { error, .. } => Some(Err(Error::of_problem(error))),
            Self::RunAborted { run_id, .. } => {
                let aborted = Error::aborted(format!("the run '{run_id}' was aborted"));
                Some(Err(aborted))
            }
            _ => None,
        }
    }

    /// When it happened, in milliseconds since 1970; `None` for an event that does not say it.
    pub fn timestamp(&self) -> Option<u64> {
        match self {
            Self::RunStarted { timestamp, .. }
            | Self::RunFinished { timestamp, .. }
            | Self::RunError { timestamp, .. }
            | Self::RunAborted { timestamp, .. }
            | Self::StepStart { timestamp, .. }
            | Self::StepFinish { timestamp, .. }
            | Self::StepError { timestamp, .. }
            | Self::ToolCallStart { timestamp, .. }
            | Self::ToolCallArgs { timestamp, .. }
            | Self::ToolCallEnd { timestamp, .. }
            | Self::ToolCallResult { timestamp, .. }
            | Self::ToolApprovalRequired { timestamp, .. }
            | Self::ToolApprovalUpdated { timestamp, .. }
            | Self::TextMessageStart { timestamp, .. }
            | Self::TextMessageContent { timestamp, .. }
            | Self::TextMessageEnd { timestamp, .. }
            | Self::ReasoningMessageStart { timestamp, .. }
            | Self::ReasoningMessageContent { timestamp, .. }
            | Self::ReasoningMessageEnd { timestamp, .. }
            | Self::DataPart { timestamp, .. } => Some(*timestamp),
            Self::Custom(value) => value.get("timestamp")?.as_u64(),
        }
    }

    /// Sets the time of an event that has none.
    pub fn stamp(&mut self, now: u64) {
        let timestamp = match self {
            Self::RunStarted { timestamp, .. }
            | Self::RunFinished { timestamp, .. }
            | Self::RunError { timestamp, .. }
            | Self::RunAborted { timestamp, .. }
            | Self::StepStart { timestamp, .. }
            | Self::StepFinish { timestamp, .. }
            | Self::StepError { timestamp, .. }
            | Self::ToolCallStart { timestamp, .. }
            | Self::ToolCallArgs { timestamp, .. }
            | Self::ToolCallEnd { timestamp, .. }
            | Self::ToolCallResult { timestamp, .. }
            | Self::ToolApprovalRequired { timestamp, .. }
            | Self::ToolApprovalUpdated { timestamp, .. }
            | Self::TextMessageStart { timestamp, .. }
            | Self::TextMessageContent { timestamp, .. }
            | Self::TextMessageEnd { timestamp, .. }
            | Self::ReasoningMessageStart { timestamp, .. }
            | Self::ReasoningMessageContent { timestamp, .. }
            | Self::ReasoningMessageEnd { timestamp, .. }
            | Self::DataPart { timestamp, .. } => timestamp,
            Self::Custom(value) => {
                if let Some(object) = value.as_object_mut() {
                    object.entry("timestamp").or_insert(now.into());
                }
                return;
            }
        };
        if *timestamp == 0 {
            *timestamp = now;
        }
    }

    /// A value to show while a tool or an agent works; the host sets the time.
    pub fn data(id: Option<String>, data: Value) -> Self {
        Self::DataPart {
            id,
            data,
            timestamp: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An event with the members of all types.
    fn event(kind: &str) -> Event {
        let event = json!({
            "type": kind, "timestamp": 1, "runId": "run_1", "agentName": "a", "runInput": {},
            "result": RunResult::text("done"), "error": {}, "stepIndex": 0, "toolCallCount": 0,
            "parentMessageId": "msg_1", "toolCallId": "call_1", "toolCallName": "t",
            "messageId": "msg_1", "role": "assistant", "visibility": "full", "delta": "d",
            "state": "requested", "toolInput": {}, "data": 1,
        });
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn every_known_type_is_read_as_such() {
        for kind in Event::KINDS {
            let event = event(kind);
            assert_eq!(event.kind(), *kind);
            assert!(!matches!(event, Event::Custom(_)), "{kind} is known");
        }
    }

    #[test]
    fn a_plugin_makes_no_end_of_a_run_in_any_form() {
        let refused = |event: Event| event.emitted(1).unwrap_err().message().to_owned();
        let custom = |event: &Event| Event::Custom(serde_json::to_value(event).unwrap());
        for kind in ["RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "RUN_ABORTED"] {
            assert_eq!(refused(event(kind)), format!("only the host emits {kind}"));
            assert_eq!(refused(custom(&event(kind))), refused(event(kind)));
            assert_eq!(
                refused(Event::Custom(json!({ "type": kind }))),
                format!("the event is not a well-formed {kind}")
            );
        }
        let part = event("DATA_PART");
        assert_eq!(custom(&part).emitted(1), Ok(part));
        let timeless = Event::Custom(json!({ "type": "DATA_PART", "data": 1 }));
        let stamped = timeless.emitted(7).unwrap();
        assert_eq!(stamped.timestamp(), Some(7));
        let own = Event::Custom(json!({ "type": "INVOICE_PAID", "timestamp": 1 }));
        assert_eq!(own.clone().emitted(1), Ok(own));
    }

    #[test]
    fn an_end_is_replaced_by_an_end_of_its_type_alone() {
        let (end, part) = (event("RUN_FINISHED"), event("DATA_PART"));
        let ended = [end.clone()];
        assert!(end.clone().in_place_of(&ended).is_ok());
        assert!(part.clone().in_place_of(&ended).is_err());
        assert!(event("RUN_ERROR").in_place_of(&ended).is_err());
        assert!(end.in_place_of(&[part]).is_err());
    }

    fn failed(error: &Value) -> Error {
        let event = json!({
            "type": "RUN_ERROR", "runId": "run_1", "agentName": "a", "error": error, "timestamp": 1,
        });
        let event: Event = serde_json::from_value(event).unwrap();
        event.outcome().unwrap().unwrap_err()
    }

    #[test]
    fn the_end_of_a_run_tells_what_it_came_to() {
        let busy = failed(&json!({
            "code": "CONFLICT", "detail": "Run failed: in use", "retryable": true, "context": { "by": "ann" },
            "status": 423,
        }));
        assert_eq!((busy.code(), busy.status()), (Some("CONFLICT"), 423));
        assert_eq!((busy.message(), busy.is_retryable()), ("in use", true));
        assert_eq!(busy.context().unwrap()["by"], "ann");
        assert_eq!(
            failed(&json!({ "code": "INTERNAL", "detail": "x" })).code(),
            None
        );
        let twice = failed(&json!({ "code": "X", "detail": "Run failed: Run failed: twice" }));
        assert_eq!(
            twice.message(),
            "Run failed: twice",
            "the second is its author's"
        );
        assert!(Event::data(None, json!(1)).outcome().is_none());
    }
}

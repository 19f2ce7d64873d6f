//! What a hook answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::message::Item;
use crate::model::ToolChoice;
use crate::principal::Principal;
use crate::response::Response;

/// What a guard says.
#[derive(Debug)]
pub enum GuardVerdict {
    /// The request may go on.
    Pass,
    /// It may not; this is the answer.
    Respond(Response),
    /// It may go on, and this is who asks.
    Authenticated(Principal),
    /// There is no credential of the kind this guard knows.
    NoCredentials,
}

/// What a hook changes of a step; `None` leaves things as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct StepChange {
    /// The conversation, from here on.
    pub messages: Option<Vec<Item>>,
    /// The instructions, for this step.
    pub instructions: Option<String>,
    /// Whether and which tools must be called, in this step.
    pub tool_choice: Option<ToolChoice>,
    /// The tools that may be called, in this step.
    pub active_tools: Option<Vec<String>>,
}

/// What becomes of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeforeTool {
    /// It goes on.
    Continue,
    /// It goes on with these arguments.
    Replace(Value),
    /// It is not made; this is its result. No validation, no approval.
    Skip(Value),
}

/// What becomes of a failed tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolErrorAnswer {
    /// The next hook decides, in the end the tool's error mode.
    Continue,
    /// The model reads this message.
    SendToModel(String),
    /// This is the result, and no error.
    Result(Value),
    /// The call is made again with these arguments; at most twice.
    Repair(Value),
    /// The call is made again as it was; at most three times.
    Retry,
    /// The run fails.
    Throw,
}

/// What becomes of invalid structured output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputErrorAnswer {
    /// The next hook decides, in the end one more model call with the errors.
    Continue,
    /// This text is parsed instead.
    RepairText(String),
    /// This value is validated instead.
    RepairValue(Value),
    /// The run fails.
    Throw,
}

/// Whether the run goes on after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEndAnswer {
    /// As it would.
    #[default]
    Continue,
    /// It ends well, with this step's answer.
    Stop,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would cost each replacement an allocation"
)]
pub enum EventVerdict {
    /// It is shown as it is.
    Keep,
    /// This one is shown instead. In the place of the end of a run, one of the same type.
    Replace(Event),
    /// It is not shown and takes no number.
    Drop,
    /// It waits until its part (a text, a reasoning, a tool call) ends; then
    /// [`Hook::release`](crate::Hook::release) decides.
    Hold,
    /// The run is aborted, for this reason.
    Abort(String),
}

// === impl GuardVerdict ===

impl GuardVerdict {
    /// A refusal with a JSON body `{"error", "message"}`.
    pub fn refuse(status: u16, error: &str, message: &str) -> Result<Self, Error> {
        let body = serde_json::json!({ "error": error, "message": message });
        Ok(Self::Respond(Response::json(&body)?.with_status(status)))
    }
}

// === impl EventVerdict ===

impl EventVerdict {
    /// The verdict on this event, if it may be given.
    #[doc(hidden)]
    pub fn on(self, event: &Event) -> Result<Self> {
        match self {
            Self::Replace(other) => {
                let other = other.in_place_of(std::slice::from_ref(event))?;
                Ok(Self::Replace(other))
            }
            other => Ok(other),
        }
    }
}

// === impl StepChange ===

impl StepChange {
    /// Other instructions, for this step.
    #[must_use]
    pub fn with_instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Another conversation, from here on.
    #[must_use]
    pub fn with_messages(mut self, messages: Vec<Item>) -> Self {
        self.messages = Some(messages);
        self
    }

    /// Whether and which tools must be called, in this step.
    #[must_use]
    pub fn with_tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// The tools that may be called, in this step.
    #[must_use]
    pub fn with_active_tools(mut self, tools: Vec<String>) -> Self {
        self.active_tools = Some(tools);
        self
    }
}

//! What the host tells a hook whose answer it waits for, or whose request is over.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Issue;
use crate::event::ToolErrorKind;
use crate::message::{Item, ModelResponse, Usage};
use crate::principal::Principal;

/// What a run begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunInput {
    /// What the client sent, without what was stored of the conversation.
    pub input: Vec<Item>,
}

/// What a step begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StepInput {
    /// From 0.
    pub step_index: u32,
    /// The step limit, where there is one.
    #[serde(default)]
    pub max_steps: Option<u32>,
    /// The conversation so far, without instructions.
    pub messages: Vec<Item>,
}

/// A tool call that is about to happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCall {
    /// The tool.
    pub tool_name: String,
    /// The call.
    pub tool_call_id: String,
    /// The parsed arguments.
    pub arguments: Value,
}

/// A tool call that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCallEnded {
    /// The tool.
    pub tool_name: String,
    /// The call.
    pub tool_call_id: String,
    /// The arguments, `null` where they were no JSON.
    pub arguments: Value,
    /// The result, or a `tool_error` object.
    pub result: Value,
    /// What it failed with.
    #[serde(default)]
    pub error: Option<String>,
}

/// A tool call that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCallFailed {
    /// The tool.
    pub tool_name: String,
    /// The call.
    pub tool_call_id: String,
    /// The arguments as the model wrote them.
    pub raw_arguments: String,
    /// At what it failed.
    pub error_kind: ToolErrorKind,
    /// With what it failed.
    pub message: String,
    /// How often this call was tried, from 1.
    pub attempt: u32,
}

/// Structured output that is invalid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OutputFailed {
    /// `missing_text`, `parse` or `validation`.
    pub error_kind: String,
    /// What the model said.
    pub text: String,
    /// What is wrong with it.
    pub issues: Vec<Issue>,
    /// How often it was tried, from 1.
    pub attempt: u32,
}

/// A step that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StepEnded {
    /// From 0.
    pub step_index: u32,
    /// How many tools the model called.
    pub tool_call_count: u32,
    /// What the model answered.
    pub response: ModelResponse,
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResponseHead {
    /// The request.
    pub request_id: String,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The headers that are text, in order.
    pub headers: Vec<(String, String)>,
}

/// A response that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Completed {
    /// The request.
    pub request_id: String,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The agent it named.
    #[serde(default)]
    pub agent: Option<String>,
    /// Who asked.
    #[serde(default)]
    pub principal: Option<Principal>,
    /// The client's address.
    #[serde(default)]
    pub client_ip: Option<IpAddr>,
    /// The status.
    pub status: u16,
    /// The bytes of the body that were sent.
    pub bytes: u64,
    /// From the first byte of the request to the last of the response.
    pub duration_ms: u64,
    /// What the run cost, where there was one that had ended well when the response was over.
    #[serde(default)]
    pub usage: Option<Usage>,
}

// === made by hand in tests ===

impl RunInput {
    /// A run that begins with these.
    pub fn new(input: Vec<Item>) -> Self {
        Self { input }
    }
}

impl StepInput {
    /// The first step of this conversation.
    pub fn new(messages: Vec<Item>) -> Self {
        Self {
            step_index: 0,
            max_steps: None,
            messages,
        }
    }
}

impl ToolCall {
    /// A call of this tool.
    pub fn new(tool_name: impl Into<String>, arguments: Value) -> Self {
        Self {
            tool_name: tool_name.into(),
            tool_call_id: "call_1".to_owned(),
            arguments,
        }
    }
}

impl ToolCallEnded {
    /// A call of this tool that is over and has this result.
    pub fn new(tool_name: impl Into<String>, arguments: Value, result: Value) -> Self {
        Self {
            tool_name: tool_name.into(),
            tool_call_id: "call_1".to_owned(),
            arguments,
            result,
            error: None,
        }
    }
}

impl ToolCallFailed {
    /// A call of this tool whose body failed with this message, at the first try.
    pub fn new(
        tool_name: impl Into<String>,
        raw_arguments: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            tool_name: tool_name.into(),
            tool_call_id: "call_1".to_owned(),
            raw_arguments: raw_arguments.into(),
            error_kind: ToolErrorKind::Execution,
            message: message.into(),
            attempt: 1,
        }
    }
}

impl OutputFailed {
    /// A text that does not fit its schema, at the first try.
    pub fn new(text: impl Into<String>, issues: Vec<Issue>) -> Self {
        Self {
            error_kind: "validation".to_owned(),
            text: text.into(),
            issues,
            attempt: 1,
        }
    }
}

impl StepEnded {
    /// The first step, in which the model called no tool.
    pub fn new(response: ModelResponse) -> Self {
        Self {
            step_index: 0,
            tool_call_count: 0,
            response,
        }
    }
}

impl ResponseHead {
    /// The head of a response to `GET /`.
    pub fn new(status: u16) -> Self {
        Self {
            request_id: "req_1".to_owned(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            status,
            headers: Vec::new(),
        }
    }
}

impl Completed {
    /// An empty response to `GET /` that took no time.
    pub fn new(status: u16) -> Self {
        Self {
            request_id: "req_1".to_owned(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            agent: None,
            principal: None,
            client_ip: None,
            status,
            bytes: 0,
            duration_ms: 0,
            usage: None,
        }
    }
}

//! What stands on the wire: the frames of a stream, and bodies.

use mortise_plugin_api::prelude::*;

/// A frame of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub(crate) enum Frame {
    Text {
        delta: String,
    },
    Thinking {
        delta: String,
    },
    ToolCallStart {
        id: String,
        name: String,
    },
    ToolCallDelta {
        id: String,
        args_delta: String,
    },
    ToolCallEnd {
        id: String,
    },
    #[serde(rename = "AskUserQuestion")]
    AskUserQuestion {
        question: String,
        session_id: String,
    },
    Done {
        usage: Tokens,
        session_id: String,
    },
    Error {
        error: String,
    },
}

/// What a turn cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
}

/// The body of a failure.
pub(crate) fn failure(status: u16, message: &str) -> Response {
    json_response(&json!({ "error": message })).with_status(status)
}

pub(crate) fn json_response(body: &Value) -> Response {
    Response::new(200)
        .with_header("content-type", "application/json")
        .with_body(body.to_string())
}

/// Whatever goes wrong on the way here, in the words of this API.
pub(crate) fn render(error: &RouteError) -> Response {
    let message = match error.code.as_str() {
        "UNAUTHORIZED" => "Unauthorized",
        "NOT_FOUND" => "Not Found",
        _ => &error.message,
    };
    failure(error.status, message)
}

// === impl Frame ===

impl Frame {
    /// What is shown of an event, if anything is.
    pub(crate) fn of(event: Event) -> Option<Self> {
        Some(match event {
            Event::TextMessageContent { delta, .. } => Self::Text { delta },
            Event::ReasoningMessageContent { delta, .. } => Self::Thinking { delta },
            Event::ToolCallStart { call, .. } => Self::ToolCallStart {
                id: call.tool_call_id,
                name: call.tool_call_name,
            },
            Event::ToolCallArgs { call, delta, .. } => Self::ToolCallDelta {
                id: call.tool_call_id,
                args_delta: delta,
            },
            Event::ToolCallEnd { call, .. } => Self::ToolCallEnd {
                id: call.tool_call_id,
            },
            _ => return None,
        })
    }
}

// === impl Tokens ===

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens.unwrap_or_default(),
            output_tokens: usage.output_tokens.unwrap_or_default(),
        }
    }
}

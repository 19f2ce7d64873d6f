//! What stands on the wire: the frames of a stream, and bodies.

use mortise_plugin_api::prelude::*;

/// What is shown of an event, if anything is.
pub(crate) fn frame(event: &Event) -> Option<Value> {
    Some(match event {
        Event::TextMessageContent { delta, .. } => json!({ "type": "text", "delta": delta }),
        Event::ReasoningMessageContent { delta, .. } => {
            json!({ "type": "thinking", "delta": delta })
        }
        Event::ToolCallStart { call, .. } => json!({
            "type": "tool_call_start",
            "id": call.tool_call_id,
            "name": call.tool_call_name,
        }),
        Event::ToolCallArgs { call, delta, .. } => json!({
            "type": "tool_call_delta",
            "id": call.tool_call_id,
            "argsDelta": delta,
        }),
        Event::ToolCallEnd { call, .. } => {
            json!({ "type": "tool_call_end", "id": call.tool_call_id })
        }
        _ => return None,
    })
}

/// What a turn cost.
pub(crate) fn tokens(usage: &Usage) -> Value {
    json!({
        "inputTokens": usage.input_tokens.unwrap_or_default(),
        "outputTokens": usage.output_tokens.unwrap_or_default(),
    })
}

/// The body of a failure.
pub(crate) fn failure(status: u16, message: &str) -> Response {
    Response::new(status)
        .with_header("content-type", "application/json")
        .with_body(json!({ "error": message }).to_string())
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

//! Pieces that operations of the server are made of.

use serde_json::{Value, json};

use super::shapes;
use crate::runtime::AgentSummary;

pub(super) fn agent_parameter(agents: &[AgentSummary]) -> Value {
    let mut parameter = path_parameter("name", "The agent.");
    if !agents.is_empty() {
        let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
        parameter["schema"] = json!({ "type": "string", "enum": names });
    }
    parameter
}

/// Of a route that does not look at it.
pub(super) fn any_agent() -> Value {
    path_parameter("name", "An agent; any name does.")
}

pub(super) fn conversation_parameter() -> Value {
    let mut parameter = path_parameter("id", "The conversation.");
    parameter["schema"] = shapes::id();
    parameter
}

pub(super) fn cursor_parameter() -> Value {
    json!({
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The number of the last event that is known.",
        "schema": { "type": "string" },
    })
}

pub(super) fn path_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": shapes::segment(),
    })
}

pub(super) fn query_parameter(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

pub(super) fn number(minimum: u32, maximum: u32, default: u32) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum, "default": default })
}

pub(super) fn schema_named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn body(schema: &Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

pub(super) fn answer(description: &str, schema: &Value) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": schema } },
    })
}

pub(super) fn events(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "text/event-stream": { "schema": schema_named("StreamedEvent") } },
    })
}

pub(super) fn nothing(description: &str) -> Value {
    json!({ "description": description })
}

pub(super) fn refusal(name: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{name}") })
}

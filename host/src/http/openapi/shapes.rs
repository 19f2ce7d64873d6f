//! The shapes of what the native API takes and answers, as schemas.

use serde_json::{Map, Value, json};

use crate::http::schemas;
use crate::runtime::{AgentSummary, ToolSummary};
use crate::schema::Schema;

/// Text with something in it and without control characters, as ids have to be.
pub(super) fn id() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
    })
}

/// A name or id of a path that is not looked into.
pub(super) fn segment() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
    })
}

/// The components.
pub(super) fn schemas() -> Map<String, Value> {
    let all = [
        ("Error", error()),
        ("Input", input()),
        ("Item", item()),
        ("Part", part()),
        ("Usage", usage()),
        ("TotalUsage", total_usage()),
        ("ModelResponse", model_response()),
        ("Agent", agent()),
        ("Run", run()),
        ("Job", job()),
        ("JobState", job_state()),
        ("Approval", approval()),
        ("UsageOfDay", usage_of_day()),
        ("ToolResult", schemas::tool_result()),
        ("ToolApproval", schemas::tool_approval()),
        ("RunEvent", run_event()),
        ("StreamedEvent", streamed_event()),
        ("Status", status()),
    ];
    all.into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

/// The body of a run of this agent; its context schema keeps its references.
pub(super) fn run_body(agent: &AgentSummary) -> Value {
    asking(agent, schemas::run())
}

/// The body of a job of this agent.
pub(super) fn job_body(agent: &AgentSummary) -> Value {
    asking(agent, schemas::job())
}

fn asking(agent: &AgentSummary, mut body: Value) -> Value {
    let properties = &mut body["properties"];
    properties["input"] = json!({ "$ref": "#/components/schemas/Input" });
    properties["conversationId"] = id();
    if let Some(context) = &agent.context_schema {
        properties["context"] = context.clone();
        let takes_none = Schema::compile(context).is_ok_and(|it| it.validate(&Value::Null).is_ok());
        if !takes_none {
            body["required"] = json!(["input", "context"]);
        }
    }
    body
}

/// What a run of this agent answers in JSON.
pub(super) fn run_answer(agent: &AgentSummary) -> Value {
    json!({
        "type": "object",
        "required": ["response"],
        "properties": {
            "response": { "$ref": "#/components/schemas/ModelResponse" },
            "structured": agent.output_schema.clone().unwrap_or_else(|| json!({})),
            "usage": { "$ref": "#/components/schemas/TotalUsage" },
        },
    })
}

/// The body of a call of this tool.
pub(super) fn tool_body(tool: &ToolSummary) -> Value {
    let mut body = schemas::tool_input();
    body["properties"]["input"] = tool.schema.clone();
    // What is not sent is `{}`.
    let takes_nothing =
        Schema::compile(&tool.schema).is_ok_and(|it| it.validate(&json!({})).is_ok());
    if !takes_nothing {
        body["required"] = json!(["input"]);
    }
    body
}

/// What a tool returns.
pub(super) fn tool_answer() -> Value {
    json!({
        "type": "object",
        "required": ["toolName", "result", "executionTime", "timestamp"],
        "properties": {
            "toolName": { "type": "string" },
            "result": {},
            "executionTime": { "type": "integer", "minimum": 0 },
            "timestamp": { "type": "string", "format": "date-time" },
        },
    })
}

/// A page of a list.
pub(super) fn page_of(key: &str, schema: &str) -> Value {
    let mut page = list_of(key, schema);
    page["properties"]["next"] = json!({
        "type": ["string", "null"],
        "description": "What to ask for the page behind with.",
    });
    page
}

/// A list below a key.
pub(super) fn list_of(key: &str, schema: &str) -> Value {
    json!({
        "type": "object",
        "required": [key],
        "properties": {
            key: {
                "type": "array",
                "items": { "$ref": format!("#/components/schemas/{schema}") },
            },
        },
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "required": ["code", "message", "status"],
        "properties": {
            "code": { "type": "string" },
            "message": { "type": "string" },
            "status": { "type": "integer" },
            "retryable": { "type": "boolean" },
            "issues": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["message", "path"],
                    "properties": {
                        "message": { "type": "string" },
                        "path": { "type": "string", "description": "A JSON pointer." },
                    },
                },
            },
            "context": { "type": "object" },
        },
    })
}

fn input() -> Value {
    let one = json!({
        "anyOf": [
            { "$ref": "#/components/schemas/Item" },
            {
                "description": "A message may leave its type out.",
                "type": "object",
                "required": ["role", "content"],
                "properties": {
                    "type": false,
                    "role": { "type": "string" },
                    "content": message_content(),
                },
            },
            {
                "description": "A message without a role is the user's.",
                "type": "object",
                "required": ["type", "content"],
                "properties": {
                    "type": { "const": "message" },
                    "role": false,
                    "content": message_content(),
                },
            },
        ],
    });
    json!({ "anyOf": [{ "type": "string" }, one, { "type": "array", "items": one }] })
}

fn item() -> Value {
    json!({
        "anyOf": [
            {
                "title": "Message",
                "type": "object",
                "required": ["type", "role", "content"],
                "properties": {
                    "type": { "const": "message" },
                    "role": { "type": "string" },
                    "content": message_content(),
                },
            },
            {
                "title": "Tool call",
                "description": "With a result it is the answer to the call of the same id.",
                "type": "object",
                "required": ["type", "callId", "name"],
                "properties": {
                    "type": { "const": "tool-call" },
                    "callId": { "type": "string" },
                    "name": { "type": "string" },
                    "arguments": { "type": "string" },
                    "result": {},
                    "isError": { "type": "boolean" },
                },
            },
            {
                "title": "Anything else",
                "description": "Kept as it is.",
                "type": "object",
                "required": ["type"],
                "properties": {
                    "type": { "type": "string", "not": { "enum": ["message", "tool-call"] } },
                },
            },
        ],
    })
}

fn message_content() -> Value {
    let part = json!({ "$ref": "#/components/schemas/Part" });
    json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": part }] })
}

fn part() -> Value {
    json!({
        "description": "A part of a message, such as {\"type\":\"text\",\"text\":\"hi\"}. What is \
                        of no type that the server knows is kept as it is.",
        "type": "object",
        "required": ["type"],
        "anyOf": [
            {
                "required": ["text"],
                "properties": { "type": { "const": "text" }, "text": { "type": "string" } },
            },
            {
                "required": ["text", "visibility"],
                "properties": {
                    "type": { "const": "reasoning" },
                    "text": { "type": "string" },
                    "visibility": { "enum": ["summary", "full"] },
                },
            },
            {
                "properties": {
                    "type": { "type": "string", "not": { "enum": ["text", "reasoning"] } },
                },
            },
        ],
    })
}

fn usage() -> Value {
    let count = count();
    json!({
        "type": "object",
        "properties": {
            "inputTokens": count,
            "outputTokens": count,
            "totalTokens": count,
            "reasoningTokens": count,
            "cachedInputTokens": count,
        },
    })
}

fn total_usage() -> Value {
    let mut total = usage();
    total["properties"]["cost"] = json!({ "type": "string", "description": "A decimal number." });
    total
}

fn model_response() -> Value {
    json!({
        "type": "object",
        "required": ["output", "finishReason"],
        "properties": {
            "output": { "type": "array", "items": { "$ref": "#/components/schemas/Item" } },
            "finishReason": {
                "enum": ["stop", "length", "content-filter", "tool-calls", "abort", "other"],
            },
            "usage": { "$ref": "#/components/schemas/Usage" },
            "request": {},
            "response": {},
        },
    })
}

fn agent() -> Value {
    json!({
        "type": "object",
        "required": ["name", "description", "kind", "tools"],
        "properties": {
            "name": { "type": "string" },
            "description": { "type": "string" },
            "kind": { "enum": ["declared", "coded"] },
            "model": { "type": "string" },
            "tools": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "description", "target", "approval", "schema"],
                    "properties": {
                        "name": { "type": "string" },
                        "description": { "type": "string" },
                        "target": { "enum": ["server", "client"] },
                        "approval": { "type": "boolean" },
                        "schema": { "type": ["object", "boolean"] },
                    },
                },
            },
            "agents": { "type": "array", "items": { "type": "string" } },
            "maxSteps": { "type": "integer", "minimum": 1 },
            "contextSchema": { "type": ["object", "boolean"] },
            "outputSchema": { "type": ["object", "boolean"] },
        },
    })
}

fn run() -> Value {
    json!({
        "type": "object",
        "required": ["runId", "agentName", "answer", "state", "createdAt"],
        "properties": {
            "runId": { "type": "string" },
            "agentName": { "type": "string" },
            "conversationId": { "type": "string" },
            "answer": { "enum": ["json", "stream"] },
            "state": { "enum": ["running", "finished", "failed", "aborted"] },
            "createdAt": time(),
            "endedAt": time(),
            "usage": { "$ref": "#/components/schemas/TotalUsage" },
        },
    })
}

fn job() -> Value {
    let name = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": [
            "id", "runId", "state", "agent", "service", "name", "attempt", "maxAttempts", "priority",
            "createdAt", "scheduledAt", "updatedAt", "principal",
        ],
        "properties": {
            "id": name,
            "runId": { "type": "string", "pattern": "^run:" },
            "state": { "$ref": "#/components/schemas/JobState" },
            "agent": name,
            "service": name,
            "name": name,
            "attempt": count(),
            "maxAttempts": { "type": "integer", "minimum": 1 },
            "priority": { "type": "integer" },
            "createdAt": time(),
            "scheduledAt": time(),
            "updatedAt": time(),
            "completedAt": time(),
            "result": {},
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": { "code": name, "message": name },
            },
            "principal": {
                "type": "object",
                "required": ["tenant", "subject"],
                "properties": { "tenant": name, "subject": name },
            },
            "instance": name,
            "run": name,
        },
    })
}

fn job_state() -> Value {
    json!({ "enum": ["queued", "running", "success", "failed", "cancelled", "dead-lettered"] })
}

fn approval() -> Value {
    json!({
        "type": "object",
        "required": ["runId", "agentName", "toolCallId", "toolName", "toolInput", "requestedAt"],
        "properties": {
            "runId": { "type": "string" },
            "agentName": { "type": "string" },
            "toolCallId": { "type": "string" },
            "toolName": { "type": "string" },
            "toolInput": {},
            "meta": {},
            "requestedAt": time(),
            "expiresAt": time(),
        },
    })
}

fn usage_of_day() -> Value {
    let count = count();
    json!({
        "type": "object",
        "required": ["day", "runs", "inputTokens", "outputTokens", "totalTokens", "cost"],
        "properties": {
            "day": { "type": "string", "format": "date" },
            "runs": count,
            "inputTokens": count,
            "outputTokens": count,
            "totalTokens": count,
            "cost": { "type": "string", "description": "A decimal number." },
        },
    })
}

/// As generators of clients read a stream: the schema of each of its events.
fn streamed_event() -> Value {
    json!({
        "description": "An event of the stream.",
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": { "$ref": "#/components/schemas/RunEvent" },
            },
            "event": { "enum": ["message", "error"] },
            "id": { "type": "string" },
        },
    })
}

fn run_event() -> Value {
    json!({
        "description": "What happened in a run; which members it has besides depends on its type.",
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": { "type": "string" },
            "timestamp": time(),
            "seq": { "type": "integer", "minimum": 0 },
        },
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "required": ["status"],
        "properties": { "status": { "enum": ["ok", "stopping", "store"] } },
    })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn time() -> Value {
    json!({
        "type": "integer",
        "minimum": 0,
        "description": "In milliseconds since 1970.",
    })
}

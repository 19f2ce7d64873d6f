//! The routes, as OpenAPI describes them.

use mortise_plugin_api::prelude::*;

/// The operation of a route, by its method and its path below the prefix of its mount.
pub(crate) fn operation(method: &str, path: &str, summary: &str) -> Value {
    let (id, more) = match (method, path) {
        ("GET", "/") if summary == SESSIONS => ("listSessions", list_sessions()),
        ("GET", "/") => ("listAgents", list_agents()),
        ("GET", "/:agentId") => ("showAgent", answers("The agent", &named("Agent"))),
        ("POST", "/:agentId/runs") => ("run", starts(&answers("The run", &named("Answer")))),
        ("POST", "/:agentId/runs/stream") => ("stream", starts(&events())),
        ("POST", "/:agentId/runs/background") => ("begin", starts(&queued())),
        ("GET", "/:agentId/runs/status") => ("showRuns", show_runs()),
        ("GET", "/:agentId/runs/:runId/status") => ("showRun", answers("The run", &named("Run"))),
        ("POST", "/:agentId/runs/:runId/continue") => ("continue", decide()),
        ("DELETE", "/:agentId/runs/:runId") => ("cancel", nothing("It is cancelled, or was over")),
        ("GET", "/:sessionId") => ("showSession", answers("The session", &named("Session"))),
        ("GET", "/:sessionId/runs") => {
            ("listRunsOfSession", answers("Its runs", &list_of("RunRow")))
        }
        ("DELETE", "/:sessionId") => ("deleteSession", nothing("It is forgotten")),
        _ => (
            "",
            json!({ "responses": { "default": { "description": "The answer" } } }),
        ),
    };
    let mut operation = json!({ "summary": summary });
    if !id.is_empty() {
        operation["operationId"] = id.into();
    }
    if let (Some(operation), Value::Object(more)) = (operation.as_object_mut(), more) {
        operation.extend(more);
    }
    operation
}

/// What the two lists at the root of a mount are told apart by.
pub(crate) const SESSIONS: &str = "A page of sessions";

/// What the operations refer to.
pub(crate) fn components() -> Value {
    json!({
        "schemas": {
            "Agent": agent(),
            "RunBody": run_body(),
            "RunRow": run_row(),
            "Run": run(),
            "Answer": answer(),
            "Session": session(),
            "StreamedFrame": streamed_frame(),
            "Problem": problem(),
        },
        "responses": {
            "Error": {
                "description": "Why not",
                "content": { "application/problem+json": { "schema": named("Problem") } },
            },
        },
    })
}

fn list_agents() -> Value {
    let mut operation = answers("The agents", &list_of("Agent"));
    operation["parameters"] = json!([{
        "name": "includeInactive",
        "in": "query",
        "description": "With `true`, also those that cannot be run.",
        "schema": text(),
    }]);
    operation
}

/// An operation that begins a run.
fn starts(operation: &Value) -> Value {
    let mut operation = operation.clone();
    operation["requestBody"] = body(&named("RunBody"));
    for status in ["400", "404", "409", "415", "429", "499", "502", "504"] {
        operation["responses"][status] = failed();
    }
    operation
}

fn events() -> Value {
    json!({
        "responses": {
            "200": {
                "description": "The run as it goes",
                "content": { "text/event-stream": { "schema": named("StreamedFrame") } },
            },
        },
    })
}

fn queued() -> Value {
    let schema = json!({
        "type": "object",
        "required": ["runId", "sessionId", "status"],
        "properties": { "runId": text(), "sessionId": text(), "status": { "const": "QUEUED" } },
    });
    answers("It has begun", &schema)
}

fn show_runs() -> Value {
    let mut operation = answers("Those that there are", &list_of("RunRow"));
    operation["parameters"] = json!([{
        "name": "runIds",
        "in": "query",
        "required": true,
        "description": "Up to 100, with commas between them.",
        "schema": text(),
    }]);
    operation
}

fn decide() -> Value {
    let mut operation = starts(&answers("The run", &named("Answer")));
    operation["requestBody"] = body(&json!({
        "type": "object",
        "required": ["action"],
        "properties": { "action": { "enum": ["APPROVE", "REJECT", "approve", "reject"] } },
    }));
    operation["responses"]["403"] = failed();
    operation
}

fn list_sessions() -> Value {
    let page = json!({
        "type": "object",
        "required": ["content", "totalElements", "totalPages", "number", "size"],
        "properties": {
            "content": list_of("Session"),
            "totalElements": count(),
            "totalPages": count(),
            "number": count(),
            "size": { "type": "integer", "minimum": 1, "maximum": 100 },
        },
    });
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    let mut operation = answers("The page", &page);
    operation["parameters"] = json!([
        query("userId", "Sessions of this user.", text()),
        query("agentId", "Sessions with this agent.", text()),
        query("page", "A number from 0; anything else is 0.", text()),
        query(
            "size",
            "A number from 1 to 100; anything else is 20.",
            text()
        ),
    ]);
    operation
}

fn run_body() -> Value {
    let or_null = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let session = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
    });
    let base64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)$";
    let medium = json!({
        "type": "object",
        "required": ["type", "data"],
        "properties": {
            "type": { "type": "string", "description": "A MIME type." },
            "data": {
                "description": "Base64, or an address that the server fetches it from.",
                "type": "string",
                "anyOf": [{ "pattern": base64 }, { "pattern": r"^https?://" }],
            },
        },
    });
    let options = json!({
        "type": "object",
        "properties": {
            "model": or_null(json!({ "type": "string", "pattern": "\\S" })),
            "temperature": or_null(json!({ "type": "number", "minimum": 0, "maximum": 2 })),
            "maxTokens": or_null(json!({
                "type": "integer", "minimum": 1, "maximum": u32::MAX,
            })),
        },
    });
    json!({
        "type": "object",
        "required": ["message"],
        "properties": {
            "message": { "type": "string", "pattern": "\\S" },
            "sessionId": or_null(session),
            "userId": or_null(text()),
            "generateFollowups": or_null(json!({ "type": "boolean" })),
            "media": or_null(json!({ "type": "array", "items": medium })),
            "options": or_null(options),
        },
    })
}

fn agent() -> Value {
    json!({
        "type": "object",
        "required": ["id", "agentId", "name", "description", "tools", "active"],
        "properties": {
            "id": text(),
            "agentId": text(),
            "name": text(),
            "description": text(),
            "model": text_or_null(),
            "tools": { "type": "array", "items": text() },
            "is_team": { "type": "boolean" },
            "isTeam": { "type": "boolean" },
            "active": { "type": "boolean" },
        },
    })
}

fn run_row() -> Value {
    json!({
        "type": "object",
        "required": ["id", "agentId", "sessionId", "status", "createdAt", "completedAt"],
        "properties": {
            "id": text(),
            "agentId": text(),
            "sessionId": text_or_null(),
            "status": state(),
            "createdAt": time(),
            "completedAt": time_or_null(),
        },
    })
}

fn run() -> Value {
    let more = json!({
        "type": "object",
        "required": ["userId", "orgId", "input", "output"],
        "properties": {
            "userId": text(),
            "orgId": text(),
            "input": {},
            "output": text_or_null(),
            "updatedAt": time_or_null(),
            "requiredAction": { "type": ["object", "null"] },
            "inputTokens": count_or_null(),
            "outputTokens": count_or_null(),
            "reasoningTokens": count_or_null(),
            "durationMs": count_or_null(),
            "errorType": text_or_null(),
            "errorMessage": text_or_null(),
        },
    });
    json!({ "allOf": [named("RunRow"), more] })
}

fn answer() -> Value {
    let tool = json!({
        "type": "object",
        "required": ["toolName", "toolInput", "toolOutput", "isError"],
        "properties": {
            "toolName": text(),
            "toolInput": text(),
            "toolOutput": {},
            "durationMs": count_or_null(),
            "isError": { "type": "boolean" },
        },
    });
    json!({
        "type": "object",
        "required": [
            "runId", "sessionId", "content", "status", "metadata", "tools", "reasoningSteps",
            "metrics",
        ],
        "properties": {
            "runId": text(),
            "sessionId": text_or_null(),
            "content": text(),
            "status": state(),
            "metadata": {
                "type": "object",
                "properties": {
                    "model": text_or_null(),
                    "followUpSuggestions": {
                        "description": "A list of texts, as JSON.",
                        "type": "string",
                    },
                    "requiredAction": { "type": "object" },
                },
            },
            "tools": { "type": "array", "items": tool },
            "reasoningSteps": { "type": "array", "items": text() },
            "metrics": { "type": "object" },
        },
    })
}

/// As generators of clients read a stream: the schema of each of its events.
fn streamed_frame() -> Value {
    let frame = json!({
        "type": "object",
        "required": ["event", "data", "timestamp"],
        "properties": {
            "event": {
                "enum": [
                    "START", "REASONING_DELTA", "CONTENT_DELTA", "TOOL_START", "TOOL_END", "STOP",
                    "ERROR",
                ],
            },
            "data": { "type": "string", "description": "JSON where it has a structure." },
            "timestamp": count(),
        },
    });
    json!({
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": frame,
            },
        },
    })
}

fn session() -> Value {
    let message = json!({
        "type": "object",
        "required": ["role", "content"],
        "properties": { "role": text(), "content": text() },
    });
    json!({
        "type": "object",
        "required": ["id", "sessionId", "userId", "agentId", "messages", "updatedAt"],
        "properties": {
            "id": text(),
            "sessionId": text(),
            "userId": text(),
            "agentId": text(),
            "messages": { "type": "array", "items": message },
            "updatedAt": time(),
        },
    })
}

fn problem() -> Value {
    let field = json!({
        "type": "object",
        "required": ["field", "message"],
        "properties": { "field": text(), "message": text() },
    });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:problem-type:" },
            "title": text(),
            "status": { "type": "integer" },
            "detail": text(),
            "invalidParams": { "type": "array", "items": field },
            "resourceName": text(),
            "identifier": text(),
            "runId": text(),
        },
    })
}

fn answers(description: &str, schema: &Value) -> Value {
    json!({
        "responses": {
            "200": {
                "description": description,
                "content": { "application/json": { "schema": schema } },
            },
        },
    })
}

fn nothing(description: &str) -> Value {
    json!({ "responses": { "204": { "description": description } } })
}

fn failed() -> Value {
    json!({ "$ref": "#/components/responses/Error" })
}

fn body(schema: &Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn named(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn list_of(schema: &str) -> Value {
    json!({ "type": "array", "items": named(schema) })
}

fn state() -> Value {
    json!({ "enum": ["RUNNING", "COMPLETED", "FAILED", "PAUSED", "CANCELLED"] })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn text_or_null() -> Value {
    json!({ "type": ["string", "null"] })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn count_or_null() -> Value {
    json!({ "type": ["integer", "null"], "minimum": 0 })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn time_or_null() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

//! The three routes, as OpenAPI describes them.

use mortise_plugin_api::prelude::*;

/// `POST /chat`.
pub(crate) fn stream(is_open: bool) -> Value {
    let mut operation = turn("chat", "Chat, answered as a stream of events", is_open);
    operation["responses"]["200"] = json!({
        "description": "What the agent does, until it has finished or asks.",
        "content": {
            "text/event-stream": { "schema": { "$ref": "#/components/schemas/StreamedFrame" } },
        },
    });
    operation
}

/// `POST /chat/sync`.
pub(crate) fn sync(is_open: bool) -> Value {
    let mut operation = turn("chatSync", "Chat, answered at the end", is_open);
    operation["responses"]["200"] = answer(
        "What the agent says or asks",
        &json!({
            "type": "object",
            "required": ["response", "sessionId"],
            "properties": { "response": text(), "sessionId": text() },
        }),
    );
    operation
}

/// `GET /sessions`.
pub(crate) fn sessions(is_open: bool) -> Value {
    let session = json!({
        "type": "object",
        "required": ["id", "createdAt", "messageCount"],
        "properties": {
            "id": text(),
            "createdAt": { "type": "string", "format": "date-time" },
            "messageCount": { "type": "integer", "minimum": 0 },
        },
    });
    let list = json!({
        "type": "object",
        "required": ["sessions"],
        "properties": { "sessions": { "type": "array", "items": session } },
    });
    let mut operation = json!({
        "operationId": "sessions",
        "summary": "The sessions, the youngest first",
        "responses": { "200": answer("The sessions", &list) },
    });
    secure(&mut operation, is_open);
    operation
}

/// What the operations refer to.
pub(crate) fn components() -> Value {
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": text() },
    });
    json!({
        "schemas": { "Message": message(), "StreamedFrame": streamed_frame() },
        "responses": { "Error": answer("Why not", &error) },
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The token of the chat.",
            },
        },
    })
}

fn turn(id: &str, summary: &str, is_open: bool) -> Value {
    let body = json!({
        "type": "object",
        "required": ["messages"],
        "properties": {
            "messages": {
                "description": "The new message alone, or all that was said.",
                "type": "array",
                "minItems": 1,
                "items": { "$ref": "#/components/schemas/Message" },
                "contains": { "properties": { "role": { "const": "user" } } },
            },
            "sessionId": {
                "description": "The session that goes on. What is no text begins a new one.",
                "if": { "type": "string" },
                "then": {
                    "maxLength": 128,
                    "pattern": "^(?!.*\\.\\.)[\\p{L}\\p{N}_.:@-]*[\\p{L}\\p{N}][\\p{L}\\p{N}_.:@-]*$",
                },
            },
        },
    });
    let failed = json!({ "$ref": "#/components/responses/Error" });
    let mut operation = json!({
        "operationId": id,
        "summary": summary,
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": body } },
        },
        "responses": { "409": failed, "422": failed, "429": failed, "502": failed },
    });
    secure(&mut operation, is_open);
    operation
}

fn message() -> Value {
    json!({
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": { "enum": ["user", "assistant", "system"] },
            "content": {
                "anyOf": [
                    text(),
                    {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type"],
                            "properties": { "type": text() },
                            "if": { "properties": { "type": { "const": "text" } } },
                            "then": { "required": ["text"], "properties": { "text": text() } },
                        },
                    },
                ],
            },
        },
    })
}

/// As generators of clients read a stream: the schema of each of its events.
fn streamed_frame() -> Value {
    let frame = json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {
                "description": "The last is `done`, `AskUserQuestion` or `error`.",
                "enum": [
                    "text", "thinking", "tool_call_start", "tool_call_delta", "tool_call_end",
                    "done", "AskUserQuestion", "error",
                ],
            },
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

fn secure(operation: &mut Value, is_open: bool) {
    if !is_open {
        operation["security"] = json!([{ "token": [] }]);
    }
}

fn answer(description: &str, schema: &Value) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": schema } },
    })
}

fn text() -> Value {
    json!({ "type": "string" })
}

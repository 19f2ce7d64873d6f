//! The JSON Schemas of the bodies that clients send, compiled once. `openapi` shows them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::schema::Schema;

pub(super) static RUN: LazyLock<Schema> = LazyLock::new(|| compile(&run()));
/// The schema would not name a field that is not known: whoever reads the body does.
pub(super) static JOB: LazyLock<Schema> = LazyLock::new(|| {
    let mut schema = job();
    schema["additionalProperties"] = true.into();
    compile(&schema)
});
pub(super) static TOOL_RESULT: LazyLock<Schema> = LazyLock::new(|| compile(&tool_result()));
pub(super) static TOOL_INPUT: LazyLock<Schema> = LazyLock::new(|| compile(&tool_input()));
pub(super) static TOOL_APPROVAL: LazyLock<Schema> = LazyLock::new(|| compile(&tool_approval()));

fn compile(schema: &Value) -> Schema {
    Schema::compile(schema).expect("the schemas of this file are schemas")
}

pub(super) fn run() -> Value {
    json!({
        "type": "object",
        "required": ["input"],
        "properties": {
            "input": { "oneOf": [{ "type": "string" }, { "type": "array" }, { "type": "object" }] },
            "context": {},
            "output": {
                "type": "object",
                "required": ["schema"],
                "properties": {
                    "schema": { "type": "object" },
                    "name": { "type": "string" },
                    "strict": { "type": "boolean" },
                },
            },
            "modalities": {
                "type": "array",
                "minItems": 1,
                "items": { "enum": ["text", "image", "video", "audio", "file", "embedding"] },
            },
            "modelOptions": { "type": "object" },
            "conversationId": not_blank(),
            // Without and with `prepareInput`: clients know the issues of both branches.
            "conversationReplay": {
                "anyOf": [
                    replay(&json!({ "omitUnsupportedParts": { "type": "boolean" } })),
                    replay(&json!({
                        "omitUnsupportedParts": { "type": "boolean" },
                        "prepareInput": { "type": "null" },
                    })),
                ],
            },
            "replaceHistory": { "type": "boolean" },
            "maxSteps": { "type": "integer", "minimum": 1 },
            "advanced": {
                "type": "object",
                "properties": {
                    "clientToolResultTimeoutMs": { "type": "number", "exclusiveMinimum": 0 },
                    "toolApprovalTimeoutMs": { "type": "number", "exclusiveMinimum": 0 },
                },
                "additionalProperties": false,
            },
        },
    })
}

/// Of a run that is done later: nobody is there to ask for more than a plugin may.
pub(super) fn job() -> Value {
    json!({
        "type": "object",
        "required": ["input"],
        "properties": {
            "input": { "oneOf": [{ "type": "string" }, { "type": "array" }, { "type": "object" }] },
            "context": {},
            "conversationId": not_blank(),
            "modelOptions": { "type": "object" },
            "priority": { "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX },
            "delay": milliseconds(),
            "maxAttempts": { "type": "integer", "minimum": 1, "maximum": 100 },
            "backoff": milliseconds(),
            "resultPolicy": { "enum": ["state", "event", "state-and-event", "none"] },
            "outputSchema": { "type": "object" },
            "service": name(),
            "name": name(),
        },
        "additionalProperties": false,
    })
}

/// A whole number that every reader of JSON can hold.
fn milliseconds() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": (1_u64 << 53) - 1 })
}

fn replay(properties: &Value) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

pub(super) fn tool_result() -> Value {
    json!({
        "type": "object",
        "required": ["runId", "toolCallId", "status"],
        "properties": {
            "runId": not_blank(),
            "toolCallId": not_blank(),
            "status": { "enum": ["success", "error"] },
            "result": {},
            "error": { "type": "string" },
        },
        "allOf": [
            {
                "if": status_is("success"),
                "then": { "required": ["result"], "not": { "required": ["error"] } },
            },
            {
                "if": status_is("error"),
                "then": { "required": ["error"], "not": { "required": ["result"] } },
            },
        ],
    })
}

/// What the input must be is up to the tool.
pub(super) fn tool_input() -> Value {
    json!({ "type": "object", "properties": { "input": {} } })
}

pub(super) fn tool_approval() -> Value {
    json!({
        "type": "object",
        "required": ["runId", "toolCallId", "decision"],
        "properties": {
            "runId": not_blank(),
            "toolCallId": not_blank(),
            "decision": { "enum": ["approved", "denied"] },
            "note": { "type": "string" },
            "actorId": { "type": "string" },
        },
    })
}

/// A part of the name of an event.
fn name() -> Value {
    json!({ "type": "string", "maxLength": 100, "pattern": "^[A-Za-z0-9_-]+$" })
}

fn not_blank() -> Value {
    json!({ "type": "string", "pattern": "\\S" })
}

fn status_is(status: &str) -> Value {
    json!({ "properties": { "status": { "const": status } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(schema: &Schema, body: &Value) -> Vec<String> {
        let issues = schema.validate(body).err().unwrap_or_default();
        let said =
            |issue: crate::schema::Issue| format!("{} {}", issue.instance_path, issue.message);
        issues.into_iter().map(said).collect()
    }

    #[test]
    fn every_wrong_field_of_a_run_is_named() {
        let body = json!({
            "input": 42, "replaceHistory": "yes", "modalities": ["banana"], "maxSteps": 0,
            "conversationId": "  ", "output": {}, "modelOptions": [],
            "advanced": { "clientToolResultTimeoutMs": 0, "x": 1 },
            "conversationReplay": { "prepareInput": "f" },
        });
        assert_eq!(
            said(&RUN, &body),
            [
                "/input must be string",
                "/input must be array",
                "/input must be object",
                "/input must match exactly one schema in oneOf",
                "/output must have required property 'schema'",
                "/modalities/0 must be equal to one of the allowed values",
                "/modelOptions must be object",
                "/conversationId must match pattern \"\\S\"",
                "/conversationReplay must NOT have additional properties",
                "/conversationReplay/prepareInput must be null",
                "/conversationReplay must match a schema in anyOf",
                "/replaceHistory must be boolean",
                "/maxSteps must be >= 1",
                "/advanced must NOT have additional properties",
                "/advanced/clientToolResultTimeoutMs must be > 0",
            ]
        );
    }

    #[test]
    fn bodies_of_runs() {
        let cases = [
            (json!({ "input": "hi" }), vec![]),
            (json!({ "input": [] }), vec![]),
            (json!({ "input": { "type": "message" } }), vec![]),
            (
                json!({ "input": "hi", "context": null, "whatever": 1, "stream": true }),
                vec![],
            ),
            (json!({}), vec![" must have required property 'input'"]),
            (
                json!({ "input": "hi", "modalities": [] }),
                vec!["/modalities must NOT have fewer than 1 items"],
            ),
            (
                json!({ "input": "hi", "maxSteps": null }),
                vec!["/maxSteps must be integer"],
            ),
            (
                json!({ "input": "hi", "maxSteps": 1.5 }),
                vec!["/maxSteps must be integer"],
            ),
            (
                json!({ "input": "hi", "conversationId": 7 }),
                vec!["/conversationId must be string"],
            ),
            (
                json!({ "input": "hi", "output": { "schema": {}, "name": 1, "strict": "y", "more": 1 } }),
                vec![
                    "/output/name must be string",
                    "/output/strict must be boolean",
                ],
            ),
            (
                json!({ "input": "hi", "conversationReplay": { "prepareInput": null, "omitUnsupportedParts": true } }),
                vec![],
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(said(&RUN, &body), expected, "{body}");
        }
    }

    #[test]
    fn results_of_tools() {
        let cases = [
            (
                json!({ "runId": "r", "toolCallId": "c", "status": "success", "result": null }),
                vec![],
            ),
            (
                json!({ "runId": "r", "toolCallId": "c", "status": "error", "error": "no", "x": 1 }),
                vec![],
            ),
            (
                json!({ "runId": "r", "toolCallId": "c", "status": "success" }),
                vec![
                    " must have required property 'result'",
                    " must match \"then\" schema",
                ],
            ),
            (
                json!({ "runId": "r", "toolCallId": "c", "status": "maybe" }),
                vec!["/status must be equal to one of the allowed values"],
            ),
            (
                json!({ "runId": " ", "toolCallId": "", "status": "success", "result": 1 }),
                vec![
                    "/runId must match pattern \"\\S\"",
                    "/toolCallId must match pattern \"\\S\"",
                ],
            ),
            (
                json!({ "runId": "r", "toolCallId": "c" }),
                // Both conditions hold of a status that is not there.
                vec![
                    " must have required property 'result'",
                    " must match \"then\" schema",
                    " must have required property 'error'",
                    " must match \"then\" schema",
                    " must have required property 'status'",
                ],
            ),
            (
                json!({ "runId": "r", "toolCallId": "c", "status": "error", "error": "no", "result": 1 }),
                vec![" must NOT be valid", " must match \"then\" schema"],
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(said(&TOOL_RESULT, &body), expected, "{body}");
        }
    }

    #[test]
    fn decisions_on_approvals() {
        let cases = [
            (
                json!({ "runId": "r", "toolCallId": "c", "decision": "approved" }),
                vec![],
            ),
            (
                json!({ "runId": "r", "toolCallId": "c", "decision": "maybe", "note": 5 }),
                vec![
                    "/decision must be equal to one of the allowed values",
                    "/note must be string",
                ],
            ),
            (
                json!({ "decision": "denied" }),
                vec![
                    " must have required property 'runId'",
                    " must have required property 'toolCallId'",
                ],
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(said(&TOOL_APPROVAL, &body), expected, "{body}");
        }
    }
}

//! What a plugin may say of its endpoints: the grammar of an operation and of components.
//!
//! It is that of `OpenAPI` 3.1 as far as a document could become unreadable otherwise; what begins
//! with `x-` may be anywhere in an operation.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::references::in_uri;
use crate::schema::{Schema, SchemaError};

static OPERATION: LazyLock<Schema> = LazyLock::new(|| compile("operation"));
static COMPONENTS: LazyLock<Schema> = LazyLock::new(|| compile("components"));

/// What is wrong with an operation first of all, in a sentence.
pub(super) fn check_operation(operation: &Value) -> Result<(), String> {
    first_issue(&OPERATION, operation)
}

/// The same of the components of a mount.
pub(super) fn check_components(components: &Value) -> Result<(), String> {
    first_issue(&COMPONENTS, components)
}

/// Whether the schemas at these pointers are schemas, and lead nowhere else than into `root`.
pub(super) fn check_schemas(mut root: Value, pointers: &[String]) -> Result<(), SchemaError> {
    if pointers.is_empty() {
        return Ok(());
    }
    let reference = |pointer: &String| json!({ "$ref": format!("#{}", in_uri(pointer)) });
    root["anyOf"] = pointers.iter().map(reference).collect();
    Schema::compile(&root).map(drop)
}

fn first_issue(schema: &Schema, value: &Value) -> Result<(), String> {
    schema.validate(value).map_err(|issues| {
        let first = issues.into_iter().next();
        first.map_or_else(String::new, |issue| {
            format!("{} {}", issue.instance_path, issue.message)
                .trim_start()
                .to_owned()
        })
    })
}

fn compile(what: &str) -> Schema {
    let schema = json!({ "$ref": format!("#/$defs/{what}"), "$defs": definitions() });
    Schema::compile(&schema).expect("the schemas of this file are schemas")
}

fn definitions() -> Value {
    let text = json!({ "type": "string" });
    let schema = json!({ "type": ["object", "boolean"] });
    let map_of = |definition: &str| {
        json!({
            "type": "object",
            "additionalProperties": { "$ref": format!("#/$defs/{definition}") },
        })
    };
    let names_of = |definition: &str| {
        let mut map = map_of(definition);
        map["propertyNames"] = json!({ "pattern": "^[a-zA-Z0-9._-]+$" });
        map
    };
    // A reference stands for anything.
    let or_reference = |otherwise: Value| {
        json!({
            "type": "object",
            "if": { "required": ["$ref"] },
            "then": { "properties": { "$ref": { "type": "string" } } },
            "else": otherwise,
        })
    };
    json!({
        "operation": operation(),
        "parameter": or_reference(json!({
            "required": ["name", "in"],
            "properties": {
                "name": text,
                "in": { "enum": ["query", "header", "path", "cookie"] },
                "description": text,
                "required": { "type": "boolean" },
                "deprecated": { "type": "boolean" },
                "schema": schema,
                "content": map_of("mediaType"),
            },
            "oneOf": [{ "required": ["schema"] }, { "required": ["content"] }],
            "if": { "properties": { "in": { "const": "path" } } },
            "then": {
                "required": ["required"],
                "properties": { "required": { "const": true } },
            },
        })),
        "requestBody": or_reference(json!({
            "required": ["content"],
            "properties": {
                "description": text,
                "content": map_of("mediaType"),
                "required": { "type": "boolean" },
            },
        })),
        "response": or_reference(json!({
            "required": ["description"],
            "properties": {
                "description": text,
                "headers": map_of("header"),
                "content": map_of("mediaType"),
                "links": { "type": "object" },
            },
        })),
        "header": or_reference(json!({ "properties": { "schema": schema } })),
        "mediaType": {
            "type": "object",
            "properties": { "schema": schema, "encoding": { "type": "object" } },
        },
        "security": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": { "type": "array", "items": text },
            },
        },
        "securityScheme": or_reference(json!({
            "required": ["type"],
            "properties": {
                "type": { "enum": ["apiKey", "http", "mutualTLS", "oauth2", "openIdConnect"] },
            },
        })),
        "components": {
            "type": "object",
            "properties": {
                "schemas": {
                    "type": "object",
                    "propertyNames": { "pattern": "^[a-zA-Z0-9._-]+$" },
                    "additionalProperties": schema,
                },
                "responses": names_of("response"),
                "parameters": names_of("parameter"),
                "requestBodies": names_of("requestBody"),
                "headers": names_of("header"),
                "securitySchemes": names_of("securityScheme"),
            },
            "additionalProperties": false,
        },
    })
}

fn operation() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["responses"],
        "properties": {
            "tags": { "type": "array", "items": text },
            "summary": text,
            "description": text,
            "externalDocs": { "type": "object" },
            "operationId": { "type": "string", "minLength": 1 },
            "parameters": { "type": "array", "items": { "$ref": "#/$defs/parameter" } },
            "requestBody": { "$ref": "#/$defs/requestBody" },
            "responses": {
                "type": "object",
                "minProperties": 1,
                "patternProperties": {
                    "^(default|[1-5][0-9][0-9]|[1-5]XX)$": { "$ref": "#/$defs/response" },
                    "^x-": true,
                },
                "additionalProperties": false,
            },
            "callbacks": { "type": "object" },
            "deprecated": { "type": "boolean" },
            "security": { "$ref": "#/$defs/security" },
            "servers": { "type": "array" },
        },
        "patternProperties": { "^x-": true },
        "additionalProperties": false,
    })
}

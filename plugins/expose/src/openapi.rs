//! What is exposed, as OpenAPI describes it.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::schema::Schema;

use crate::config::Mode;
use crate::exposure::Exposure;
use crate::request::path_names;

const JSON: &str = "application/json";

/// The operation of an exposed agent.
pub(crate) fn operation(exposure: &Exposure) -> Value {
    let exposed = exposure.exposed();
    let source = |schema: &Option<Schema>| match schema {
        Some(schema) => schema.source().clone(),
        None => json!({}),
    };
    let (status, kind, schema) = match exposed.mode {
        Mode::Aggregate => (
            "200",
            exposed.response_content_type.as_str(),
            source(&exposed.output),
        ),
        Mode::Stream => ("200", "text/event-stream", json!({ "type": "string" })),
        Mode::Accepted => (
            "202",
            JSON,
            object(&["jobId", "runId", "status", "statusUrl"]),
        ),
    };
    let summary = if exposed.summary.is_empty() {
        exposed.name()
    } else {
        &exposed.summary
    };
    let mut operation = described(exposure, summary, status, &answer(kind, &schema));
    if exposed.mode == Mode::Aggregate {
        operation["responses"]["204"] = json!({ "description": "The agent has no answer" });
    }
    let parameter = source(&exposed.parameter);
    let properties = parameter["properties"].as_object().into_iter().flatten();
    let in_query = properties.filter(|(name, _)| !path_names(&exposed.path).any(|it| it == *name));
    let in_query = in_query.map(|(name, schema)| {
        let required = parameter["required"].as_array();
        let required = required.is_some_and(|all| all.contains(&json!(name)));
        json!({ "name": name, "in": "query", "required": required, "schema": schema })
    });
    operation["parameters"] = in_query.collect();
    if exposed.has_body() {
        let content =
            json!({ &exposed.request_content_type: { "schema": source(&exposed.payload) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

/// The operations of a job: how it stands, and what cancels it.
pub(crate) fn job_operations(exposure: &Exposure) -> [Value; 2] {
    let standing = object(&[
        "jobId",
        "runId",
        "status",
        "attempt",
        "createdAt",
        "updatedAt",
    ]);
    let cancelled = json!({ "description": "It is cancelled" });
    [
        described(
            exposure,
            "How a job stands",
            "200",
            &answer(JSON, &standing),
        ),
        described(exposure, "Cancels a job", "204", &cancelled),
    ]
}

/// What all operations have.
fn described(exposure: &Exposure, summary: &str, status: &str, response: &Value) -> Value {
    let config = &exposure.config;
    let problem = object(&["type", "title", "status", "detail"]);
    let is_public = exposure.exposed().public;
    json!({
        "summary": summary,
        "tags": [config.service],
        "responses": { status: response, "default": answer("application/problem+json", &problem) },
        "x-purista-service-name": config.service,
        "x-purista-service-version": config.version.to_string(),
        "x-purista-endpoint-security": if is_public { "public" } else { "protected-with-security-scheme" },
    })
}

fn answer(kind: &str, schema: &Value) -> Value {
    json!({ "description": kind, "content": { kind: { "schema": schema } } })
}

fn object(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

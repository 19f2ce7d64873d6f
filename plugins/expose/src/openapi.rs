//! What is exposed, as OpenAPI describes it.

use mortise_plugin_api::Operation;
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::schema::Schema;

use crate::config::Mode;
use crate::exposure::Exposure;

const JSON: &str = "application/json";

/// The operation of an exposed agent.
pub(crate) fn operation(exposure: &Exposure) -> Value {
    let exposed = exposure.exposed();
    let source = |schema: &Option<Schema>| match schema {
        Some(schema) => schema.source().clone(),
        None => json!({}),
    };
    let mut operation = match exposed.summary.as_str() {
        "" => described(exposure, exposed.name()),
        summary => described(exposure, summary),
    };
    operation = operation.parameters(&exposed.path, &source(&exposed.parameter));
    if exposed.has_body() {
        operation = operation.body(&exposed.request_content_type, &source(&exposed.payload));
    }
    let operation = match exposed.mode {
        Mode::Aggregate => {
            let (kind, output) = (&exposed.response_content_type, source(&exposed.output));
            operation.answer(200, kind, &output).empty_answer(204)
        }
        Mode::Stream => operation.answer(200, "text/event-stream", &event()),
        Mode::Accepted => {
            let handle = object(&["jobId", "runId", "status", "statusUrl", "queueName"]);
            operation.answer(202, JSON, &handle)
        }
    };
    operation.into()
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
    let shown = described(exposure, "How a job stands").answer(200, JSON, &standing);
    let cancelled = described(exposure, "Cancels a job").empty_answer(204);
    [shown.into(), cancelled.into()]
}

/// What all operations have.
fn described(exposure: &Exposure, summary: &str) -> Operation {
    let config = &exposure.config;
    let security = if exposure.exposed().public {
        "public"
    } else {
        "protected-with-security-scheme"
    };
    Operation::new(summary)
        .problems()
        .with("tags", json!([config.service]))
        .with("x-purista-service-name", config.service.as_str())
        .with("x-purista-service-version", config.version.to_string())
        .with("x-purista-endpoint-security", security)
}

/// An event as it stands in a stream.
fn event() -> Value {
    json!({
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": { "type": "string" },
            "data": { "type": "string", "contentMediaType": "application/json" },
        },
    })
}

fn object(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

//! What is exposed, as OpenAPI describes it.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::schema::Schema;
use mortise_plugin_api::{JobState, Operation};

use crate::config::Mode;
use crate::exposure::Exposure;

const JSON: &str = "application/json";

/// Where a job may stand.
const STATES: [JobState; 6] = [
    JobState::Queued,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
    JobState::Cancelled,
    JobState::DeadLettered,
];

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
    let name = match exposed.mode {
        Mode::Stream => "x-purista-stream-name",
        Mode::Aggregate | Mode::Accepted => "x-purista-command-name",
    };
    let runtime_mode = match exposed.mode {
        Mode::Aggregate => "sync",
        Mode::Stream => "stream",
        Mode::Accepted => "async-job",
    };
    operation = operation
        .parameters(exposed.path.as_str(), &source(&exposed.parameter))
        .with(name, exposed.name())
        .with("x-purista-runtime-mode", runtime_mode);
    if exposed.has_body() {
        operation = operation.body(&exposed.request_content_type, &source(&exposed.payload));
    }
    let operation = match exposed.mode {
        Mode::Aggregate => {
            let (kind, output) = (exposed.response_content_type(), source(&exposed.output));
            operation.answer(200, kind, &output).empty_answer(204)
        }
        Mode::Stream => operation.answer(200, "text/event-stream", &event()),
        Mode::Accepted => operation.answer(202, JSON, &handle()),
    };
    operation.into()
}

/// The operations of a job: how it stands, and what cancels it.
pub(crate) fn job_operations(exposure: &Exposure) -> [Value; 2] {
    let shown = described(exposure, "How a job stands").answer(200, JSON, &standing());
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

/// What is answered at once of a job.
fn handle() -> Value {
    let (text, time) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    json!({
        "type": "object",
        "required": ["jobId", "runId", "status", "statusUrl", "queueName"],
        "properties": {
            "jobId": text, "runId": text, "status": { "enum": STATES }, "statusUrl": text,
            "queue": text, "queueName": text, "scheduledAt": time,
        },
    })
}

/// How a job stands. Several agents may show their jobs at one path, so that nothing is said of the
/// result.
fn standing() -> Value {
    let (text, time) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let error = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": { "code": text, "message": text },
    });
    json!({
        "type": "object",
        "required": ["jobId", "runId", "status", "attempt", "createdAt", "updatedAt"],
        "properties": {
            "jobId": text, "runId": text, "status": { "enum": STATES },
            "attempt": { "type": "integer" },
            "createdAt": time, "updatedAt": time, "completedAt": time,
            "result": {}, "error": error,
        },
    })
}

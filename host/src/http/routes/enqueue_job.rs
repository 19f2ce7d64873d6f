//! `POST /-/agents/:name/jobs`: accepts a run of an agent that is done later.
//!
//! The agent is in the path, where guards look for it.

use std::sync::Arc;

use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use mortise_plugin_api::JobRequest;
use serde_json::{Map, Value};

use crate::http::error::{Failure, json_response};
use crate::http::router::Call;
use crate::http::{json, params, schemas};

/// What the body says of the run; the rest is said of the job.
const OF_RUN: [&str; 4] = ["input", "context", "conversationId", "modelOptions"];
/// The whole numbers that are said of the job.
const NUMBERS: [&str; 4] = ["priority", "delay", "maxAttempts", "backoff"];
/// What else is said of the job.
const OTHERS: [&str; 4] = ["resultPolicy", "outputSchema", "service", "name"];

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let principal = call.principal();
    let Call {
        state,
        request,
        body,
    } = call;
    let body = body.checked(&request.headers, &schemas::JOB)?;
    let is_known = |key: &str| [OF_RUN, NUMBERS, OTHERS].as_flattened().contains(&key);
    if let Some(key) = body.keys().find(|key| !is_known(key)) {
        return Err(Failure::unknown_field(key));
    }
    params::check_conversation_id(&body)?;
    let agent = request.agent.as_deref().unwrap_or_default();
    let mut wanted = job_request(agent, body)?;
    wanted.run.principal = Some(Arc::unwrap_or_clone(principal));
    let job = state.jobs.enqueue(wanted, None).await?;
    let mut response = json_response(StatusCode::ACCEPTED, &job);
    let location = format!("{}/-/jobs/{}", state.settings.base_path, job.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The job in a body that fits its schema.
fn job_request(agent: &str, mut body: Map<String, Value>) -> Result<JobRequest, Failure> {
    let run = OF_RUN.iter().filter_map(|key| body.remove_entry(*key));
    let mut run: Map<String, Value> = run.collect();
    run.insert("agent".to_owned(), agent.into());
    body.insert("run".to_owned(), Value::Object(run));
    for key in NUMBERS {
        body.entry(key).and_modify(written_whole);
    }
    serde_json::from_value(Value::Object(body))
        .map_err(|error| Failure::Thrown(mortise_plugin_api::Error::invalid(error.to_string())))
}

/// As serde reads a whole number; the schema has its limits.
fn written_whole(number: &mut Value) {
    if let Some(whole) = json::whole_number(number) {
        *number = whole.into();
    }
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::{ResultPolicy, RunRequest};
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_arrives() {
        let body = json!({
            "input": "hi", "context": { "n": 1 }, "conversationId": "c",
            "modelOptions": { "temperature": 0.5 }, "priority": -2.0, "delay": 5, "maxAttempts": 7.0,
            "backoff": 9, "resultPolicy": "event", "outputSchema": { "type": "string" },
            "service": "s", "name": "n",
        });
        let Value::Object(body) = body else {
            unreachable!("it is an object")
        };
        let job = job_request("a", body).unwrap();
        let run = RunRequest::new("a", "hi")
            .with_context(json!({ "n": 1 }))
            .with_conversation("c")
            .with_model_options(Map::from_iter([("temperature".to_owned(), json!(0.5))]));
        let mut expected = JobRequest::new(run)
            .with_priority(-2)
            .with_max_attempts(7)
            .with_result_policy(ResultPolicy::Event)
            .with_output_schema(json!({ "type": "string" }))
            .with_event_name("s", "n");
        expected.delay = Some(5);
        expected.backoff = 9;
        assert_eq!(job, expected);
    }
}

//! `POST /:name/run`: runs an agent, and answers with JSON or with its events.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use mortise_plugin_api::{Error, Principal, RequestKind, RunResult};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::http::error::{Failure, json_response};
use crate::http::router::Call;
use crate::http::sse::{self, Framing};
use crate::http::state::HttpState;
use crate::http::{escapes, json, params, schemas};
use crate::plugin::request::RequestView;
use crate::runtime::{
    Caller, Once, OutputRequest, Reader, RequestKey, Resume, RunRequest, RunUsage, conflict,
};

const LONGEST_KEY: usize = 255;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let Call {
        state,
        request,
        body,
    } = call;
    let body = body.checked(&request.headers, &schemas::RUN)?;
    params::check_conversation_id(&body)?;
    let run = run_request(body);
    let agent = request.agent.as_deref().unwrap_or_default();
    let caller = Caller {
        principal: request.principal().unwrap_or_default(),
        request_id: Arc::clone(&request.id),
    };
    let wants_stream = request.kind == RequestKind::Stream;
    let key = idempotency_key(&request.headers)?.map(|key| RequestKey {
        key,
        request: digest(&request.body, wants_stream),
    });
    if !wants_stream {
        // When the client goes, this future is dropped, and the run with it.
        let result = match key {
            None => state.runtime.run(agent, run, caller).await?,
            Some(key) => match state.runtime.run_once(agent, key, run, caller).await? {
                Once::Begun(run) => run.answer().await?,
                Once::Known(id) => {
                    let result = state.runtime.repeated_answer(&id).await?;
                    return Ok(json_response(StatusCode::OK, &result));
                }
            },
        };
        return Ok(answered(state, result));
    }

    let streamed = match key {
        None => state.runtime.stream(agent, run, caller).await?,
        Some(key) => {
            let principal = Arc::clone(&caller.principal);
            match state.runtime.stream_once(agent, key, run, caller).await? {
                Once::Begun(streamed) => streamed,
                Once::Known(id) => return repeated_stream(state, &request, id, &principal).await,
            }
        }
    };
    let mut response = stream(state, &request, streamed.run_id, streamed.reader)?;
    response.extensions_mut().insert(streamed.usage);
    Ok(response)
}

fn answered(state: &HttpState, mut result: RunResult) -> Response {
    let total = result.usage.as_ref().map(|usage| usage.tokens);
    if !state.runtime.shows_total_usage() {
        result.usage = None;
    }
    let mut response = json_response(StatusCode::OK, &result);
    let usage = RunUsage::new(OnceLock::from(total.unwrap_or_default()));
    response.extensions_mut().insert(usage);
    response
}

/// The events of the run that the key stands for, from the first one.
async fn repeated_stream(
    state: &HttpState,
    request: &RequestView,
    run_id: Arc<str>,
    principal: &Principal,
) -> Result<Response, Failure> {
    let resumed = state.runtime.resume_stream(&run_id, None, principal);
    match resumed.await? {
        Resume::Reader(reader) => stream(state, request, run_id, reader),
        Resume::NoStore => {
            Err(conflict("The events of the run with this Idempotency-Key are not kept.").into())
        }
        Resume::Unknown => {
            Err(conflict("The request with this Idempotency-Key is still being taken in.").into())
        }
    }
}

fn stream(
    state: &HttpState,
    request: &RequestView,
    run_id: Arc<str>,
    reader: Reader,
) -> Result<Response, Failure> {
    let framing = match escapes::query_param(request.uri.query(), "ids").as_deref() {
        Some("1") => Framing::numbered(&run_id),
        _ => Framing::Live,
    };
    let id = HeaderValue::from_str(&run_id)
        .map_err(|_| Error::internal(format!("the run id {run_id:?} fits no header")))?;
    let mut response = sse::response(reader, framing, Some(run_id), state.settings.sse_heartbeat);
    let headers = response.headers_mut();
    headers.insert("x-stream-id", id.clone());
    headers.insert("x-run-id", id);
    Ok(response)
}

/// The key with which a client may repeat its request.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let mut values = headers.get_all("idempotency-key").iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    match value.map(str::trim) {
        Some(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Failure::bad_request(
            "Idempotency-Key must be there once, with 1 to 255 visible characters.",
        )),
    }
}

/// What tells one request from another.
fn digest(body: &[u8], wants_stream: bool) -> String {
    let mut digest = Sha256::new();
    digest.update([u8::from(wants_stream)]);
    digest.update(body);
    digest
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The request in a body that fits its schema.
fn run_request(mut body: Map<String, Value>) -> RunRequest {
    let advanced = body.remove("advanced").unwrap_or_default();
    let replay = body.remove("conversationReplay").unwrap_or_default();
    RunRequest {
        input: body.remove("input").unwrap_or_default(),
        context: body.remove("context"),
        output: body.remove("output").map(output_request),
        modalities: body
            .remove("modalities")
            .and_then(|value| serde_json::from_value(value).ok()),
        model_options: body.remove("modelOptions").and_then(object),
        conversation_id: body.remove("conversationId").and_then(text),
        omit_unsupported_parts: replay["omitUnsupportedParts"].as_bool(),
        replace_history: body.get("replaceHistory") == Some(&Value::Bool(true)),
        max_steps: body.get("maxSteps").and_then(steps),
        client_tool_result_timeout: timeout(&advanced["clientToolResultTimeoutMs"]),
        tool_approval_timeout: timeout(&advanced["toolApprovalTimeoutMs"]),
        claimed_id: None,
        unknown_tool_mode: None,
    }
}

fn output_request(mut output: Value) -> OutputRequest {
    OutputRequest {
        schema: output["schema"].take(),
        name: text(output["name"].take()),
        strict: output["strict"].as_bool(),
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// At least 1; too many are as many as there may be.
fn steps(value: &Value) -> Option<u32> {
    let steps = json::whole_number(value)?;
    Some(u32::try_from(steps).unwrap_or(u32::MAX))
}

/// Milliseconds; more than a duration holds is for ever.
fn timeout(value: &Value) -> Option<Duration> {
    let milliseconds = value.as_f64()?;
    Some(Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(body: Value) -> RunRequest {
        run_request(object(body).unwrap())
    }

    #[test]
    fn every_field_arrives() {
        let run = request(json!({
            "input": [{ "type": "message" }],
            "context": null,
            "output": { "schema": { "type": "object" }, "name": "n", "strict": true },
            "modalities": ["text", "image"],
            "modelOptions": { "temperature": 0.5 },
            "conversationId": "c",
            "conversationReplay": { "omitUnsupportedParts": true, "prepareInput": null },
            "replaceHistory": true,
            "maxSteps": 2.0,
            "advanced": { "clientToolResultTimeoutMs": 400, "toolApprovalTimeoutMs": 0.5 },
        }));
        assert_eq!(run.input, json!([{ "type": "message" }]));
        assert_eq!(run.context, Some(Value::Null));
        let output = run.output.unwrap();
        assert_eq!(output.schema, json!({ "type": "object" }));
        assert_eq!(
            (output.name.as_deref(), output.strict),
            (Some("n"), Some(true))
        );
        assert_eq!(run.modalities.unwrap(), ["text", "image"]);
        assert_eq!(run.model_options.unwrap()["temperature"], 0.5);
        assert_eq!(run.conversation_id.as_deref(), Some("c"));
        assert_eq!(run.omit_unsupported_parts, Some(true));
        assert!(run.replace_history);
        assert_eq!(run.max_steps, Some(2));
        assert_eq!(
            run.client_tool_result_timeout,
            Some(Duration::from_millis(400))
        );
        assert_eq!(run.tool_approval_timeout, Some(Duration::from_micros(500)));
    }

    #[test]
    fn what_was_not_sent_is_not_there() {
        let run = request(json!({ "input": "hi" }));
        assert_eq!(run.input, json!("hi"));
        assert!(run.context.is_none() && run.output.is_none() && run.max_steps.is_none());
        assert!(!run.replace_history);
    }

    #[test]
    fn numbers_that_are_too_large_do_no_harm() {
        let run = request(json!({
            "input": "hi", "maxSteps": 1e300, "advanced": { "toolApprovalTimeoutMs": 1e300 }
        }));
        assert_eq!(run.max_steps, Some(u32::MAX));
        assert_eq!(run.tool_approval_timeout, Some(Duration::MAX));
    }
}

//! A run as a stream of `response.…` events.

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::serde_json::Map;
use mortise_plugin_api::{SubAgentEvent, ToolCallRef, Transcript, TranscriptCall};

use crate::exposure::Exposure;
use crate::problem;

/// A stream that is silent for so long gets a comment.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Writes events, numbered from 1.
struct Frames {
    writer: BodyWriter,
    run_id: String,
    agent: String,
    /// What the agent thinks with, where that is known.
    model: Option<String>,
    created_at: u64,
    sequence: u64,
}

/// Runs the agent and answers with what happens.
pub(crate) async fn stream(exposure: Arc<Exposure>, run: &RunRequest) -> Result<Response> {
    let host = &exposure.host;
    let model = host.agent(&run.agent).await?.and_then(|agent| agent.model);
    let run_id = host.start_agent(run).await?;
    let mut guard = host.abort_on_drop(&*run_id);
    let response = Response::stream(
        "text/event-stream; charset=utf-8",
        move |writer| async move {
            let mut frames = Frames {
                writer,
                run_id,
                agent: exposure.exposed().name().to_owned(),
                model,
                created_at: exposure.host.now_millis() / 1000,
                sequence: 0,
            };
            tell(&exposure, &mut frames).await?;
            guard.release();
            Ok(())
        },
    );
    Ok(response.with_header("cache-control", "no-cache, no-transform"))
}

async fn tell(exposure: &Exposure, frames: &mut Frames) -> Result<()> {
    let created = frames.response("in_progress", &Value::Null);
    frames
        .write("response.created", json!({ "response": created }))
        .await?;
    let mut events = exposure.host.events(&*frames.run_id, None);
    let mut transcript = Transcript::default();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = exposure.host.sleep(HEARTBEAT) => {
                frames.writer.write(": ping\n\n").await?;
                continue;
            }
        };
        let event = match event {
            Some(Ok(event)) => event.event,
            Some(Err(error)) => return frames.fail(&error).await,
            None => return frames.fail(&Error::internal("the run has no end")).await,
        };
        transcript.add(&event);
        match event.outcome().map(|outcome| exposure.output(&outcome?)) {
            Some(Ok(output)) => {
                frames.progress(&output).await?;
                let completed = frames.response("completed", &output);
                return frames
                    .write("response.completed", json!({ "response": completed }))
                    .await;
            }
            Some(Err(error)) => return frames.fail(&error).await,
            None if matches!(event, Event::RunStarted { .. }) => {
                frames.progress(&Value::Null).await?;
            }
            None => {
                if let Some((kind, body)) = shown(&event, &transcript) {
                    frames.write_of_agent(kind, body).await?;
                }
            }
        }
    }
}

/// What of an event has a form here.
fn shown(event: &Event, transcript: &Transcript) -> Option<(&'static str, Value)> {
    let of_call = |call: &ToolCallRef, key: &str, value: &Value| json!({ "item_id": call.tool_call_id, "tool_name": call.tool_call_name, key: value });
    let json_delta = |delta: &Value| {
        let body = json!({ "output_index": 0, "delta": delta });
        Some(("response.output_json.delta", body))
    };
    match event {
        Event::TextMessageContent {
            message_id, delta, ..
        } => Some((
            "response.output_text.delta",
            json!({ "stream_id": message_id, "output_index": 0, "content_index": 0, "delta": delta }),
        )),
        Event::ToolCallEnd { call, .. } => {
            let input = transcript
                .call(&call.tool_call_id)
                .map(TranscriptCall::arguments);
            Some((
                "response.tool_call.started",
                of_call(call, "input", &json!(input)),
            ))
        }
        Event::ToolCallResult {
            call,
            result,
            is_error,
            ..
        } => {
            let key = if *is_error { "error" } else { "output" };
            Some(("response.tool_call.completed", of_call(call, key, result)))
        }
        Event::ToolApprovalRequired { call, approval, .. }
        | Event::ToolApprovalUpdated { call, approval, .. } => {
            let mut delta = of_call(call, "input", &approval.tool_input);
            delta["type"] = "approval".into();
            delta["state"] = json!(approval.state);
            json_delta(&delta)
        }
        Event::DataPart { data, .. } if SubAgentEvent::read(event).is_none() => json_delta(data),
        _ => None,
    }
}

// === impl Frames ===

impl Frames {
    /// The agent has begun, or has an output.
    async fn progress(&mut self, output: &Value) -> Result<()> {
        let mut response = self.response("in_progress", output);
        response["metadata"] = json!({ "agentId": self.agent });
        self.write_of_agent("response.in_progress", json!({ "response": response }))
            .await
    }

    /// The end of a stream that failed.
    async fn fail(&mut self, error: &Error) -> Result<()> {
        let code = error.code().unwrap_or("INTERNAL");
        let is_handled = problem::is_handled(code);
        if !is_handled {
            tracing::error!(run_id = self.run_id, %error, "a streamed run failed");
        }
        let mut told = json!({
            "code": if is_handled { code } else { "INTERNAL" },
            "category": if is_handled { "handled" } else { "internal" },
            "retriable": is_handled && error.is_retryable(),
            "message": if is_handled { error.message() } else { problem::MASKED },
            "isHandledError": is_handled,
        });
        if let Some(context) = error.context().filter(|_| is_handled) {
            told["data"] = json!(context);
        }
        self.write("error", json!({ "error": told })).await
    }

    fn response(&self, status: &str, output: &Value) -> Value {
        let mut response = json!({
            "id": self.run_id, "object": "response", "status": status, "created_at": self.created_at,
        });
        if !output.is_null() {
            response["output"] = output.clone();
        }
        response
    }

    async fn write_of_agent(&mut self, kind: &str, mut body: Value) -> Result<()> {
        body["agent_id"] = self.agent.as_str().into();
        if let Some(model) = self
            .model
            .as_ref()
            .filter(|_| body.get("stream_id").is_some())
        {
            body["model_alias"] = model.as_str().into();
        }
        self.write(kind, body).await
    }

    async fn write(&mut self, kind: &str, body: Value) -> Result<()> {
        self.sequence += 1;
        let head = json!({
            "sequence_number": self.sequence, "response_id": self.run_id, "run_id": self.run_id,
            "type": kind,
        });
        let members = [head, body]
            .into_iter()
            .filter_map(|part| part.as_object().cloned());
        let data = Value::Object(members.flatten().collect::<Map<_, _>>());
        self.writer
            .write(format!("event: {kind}\ndata: {data}\n\n"))
            .await
    }
}

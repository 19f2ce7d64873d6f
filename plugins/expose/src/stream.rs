//! A run as a stream of `response.…` events.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{
    ApprovalStatus, EventWriter, SubAgentEvent, ToolCallRef, Transcript, TranscriptCall,
};

use crate::exposure::Exposure;
use crate::problem;

/// Writes events, numbered from 1.
struct Frames {
    writer: EventWriter,
    run_id: String,
    agent: String,
    /// What the agent thinks with, where that is known.
    model: Option<String>,
    created_at: u64,
    sequence: u64,
}

/// Runs the agent and answers with what happens.
pub(crate) async fn stream(exposure: Arc<Exposure>, run: &RunRequest) -> Result<Response> {
    let host = exposure.host.clone();
    let model = host.agent(&run.agent).await?.and_then(|agent| agent.model);
    let run_id = host.start_agent(run).await?;
    let mut guard = host.leave_on_drop(&*run_id);
    let response = Response::events(&host, move |writer| async move {
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
    });
    let response = response.replacing_header("content-type", "text/event-stream; charset=utf-8");
    Ok(response.replacing_header("cache-control", "no-cache, no-transform"))
}

async fn tell(exposure: &Exposure, frames: &mut Frames) -> Result<()> {
    let nothing = Value::Null;
    frames
        .write("response.created", "in_progress", &nothing)
        .await?;
    let mut events = exposure.host.events(&*frames.run_id, None);
    let mut transcript = Transcript::default();
    loop {
        let event = match frames.writer.next(&mut events).await {
            Some(Ok(event)) => event.event,
            Some(Err(error)) => return frames.fail(&error).await,
            None => return frames.fail(&Error::internal("the run has no end")).await,
        };
        transcript.add(&event);
        match event.outcome().map(|outcome| exposure.output(&outcome?)) {
            Some(Ok(output)) => {
                frames
                    .write("response.in_progress", "in_progress", &output)
                    .await?;
                return frames
                    .write("response.completed", "completed", &output)
                    .await;
            }
            Some(Err(error)) => return frames.fail(&error).await,
            None => {}
        }
        if let Event::RunStarted { .. } = event {
            frames
                .write("response.in_progress", "in_progress", &nothing)
                .await?;
        } else if let Some((kind, body)) = shown(&event, &transcript) {
            frames.send(kind, body).await?;
        }
    }
}

/// What of an event has a form here.
fn shown(event: &Event, transcript: &Transcript) -> Option<(&'static str, Value)> {
    let of_call = |call: &ToolCallRef, key: &str, value: &Value| json!({ "item_id": call.tool_call_id, "tool_name": call.tool_call_name, key: value });
    let delta = |delta: &Value| json!({ "output_index": 0, "delta": delta });
    Some(match event {
        Event::TextMessageContent {
            message_id, delta, ..
        } => (
            "response.output_text.delta",
            json!({ "stream_id": message_id, "output_index": 0, "content_index": 0, "delta": delta }),
        ),
        Event::ToolCallEnd { call, .. } => {
            let known = transcript.call(&call.tool_call_id);
            let input = json!(known.map(TranscriptCall::arguments));
            ("response.tool_call.started", of_call(call, "input", &input))
        }
        Event::ToolCallResult {
            call,
            result,
            is_error,
            ..
        } => {
            let key = if *is_error { "error" } else { "output" };
            ("response.tool_call.completed", of_call(call, key, result))
        }
        // That it is requested is told before.
        Event::ToolApprovalUpdated { approval, .. }
            if approval.state == ApprovalStatus::Requested =>
        {
            return None;
        }
        Event::ToolApprovalRequired { call, approval, .. }
        | Event::ToolApprovalUpdated { call, approval, .. } => {
            let mut told = of_call(call, "input", &approval.tool_input);
            told["type"] = "approval".into();
            told["state"] = json!(approval.state);
            ("response.output_json.delta", delta(&told))
        }
        Event::DataPart { data, .. } if SubAgentEvent::read(event).is_none() => {
            ("response.output_json.delta", delta(data))
        }
        _ => return None,
    })
}

/// An error as it stands at the end of a stream.
fn told(error: &Error) -> Value {
    let code = error.public_code();
    let status = problem::shown_status(code, error.status());
    if !problem::is_handled(code) {
        return json!({
            "status": status, "code": "INTERNAL", "category": "internal", "retriable": false,
            "message": problem::MASKED, "isHandledError": false,
        });
    }
    let mut told = json!({
        "status": status, "code": code, "category": "handled", "retriable": error.is_retryable(),
        "message": error.message(), "isHandledError": true,
    });
    if let Some(data) = error.context() {
        told["data"] = json!(data);
    }
    told
}

// === impl Frames ===

impl Frames {
    /// The response as it stands, with its output where there is one.
    async fn write(&mut self, kind: &str, status: &str, output: &Value) -> Result<()> {
        let mut response = json!({
            "id": self.run_id, "object": "response", "status": status, "created_at": self.created_at,
        });
        if !output.is_null() {
            response["output"] = output.clone();
        }
        if kind == "response.in_progress" {
            response["metadata"] = json!({ "agentId": self.agent });
        }
        self.send(kind, json!({ "response": response })).await
    }

    /// The end of a stream that failed.
    async fn fail(&mut self, error: &Error) -> Result<()> {
        if !problem::is_handled(error.public_code()) {
            tracing::error!(run_id = self.run_id, %error, "a streamed run failed");
        }
        self.send("error", json!({ "error": told(error) })).await
    }

    async fn send(&mut self, kind: &str, body: Value) -> Result<()> {
        self.sequence += 1;
        let mut data = json!({
            "sequence_number": self.sequence, "response_id": self.run_id, "run_id": self.run_id,
            "type": kind,
        });
        if !["response.created", "response.completed", "error"].contains(&kind) {
            data["agent_id"] = self.agent.as_str().into();
        }
        if let (Some(model), "response.output_text.delta") = (&self.model, kind) {
            data["model_alias"] = model.as_str().into();
        }
        if let (Some(data), Value::Object(body)) = (data.as_object_mut(), body) {
            data.extend(body);
        }
        self.writer.send_named(kind, &data).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_status_of_its_code_and_data_where_there_is_some() {
        let missing = told(&Error::not_found("no ticket"));
        let expected = json!({
            "status": 404, "code": "NOT_FOUND", "category": "handled", "retriable": false,
            "message": "no ticket", "isHandledError": true,
        });
        assert_eq!(missing, expected);
        let busy = told(&Error::unavailable("later").with_context("ticket", 7));
        assert_eq!(
            (&busy["status"], &busy["data"]),
            (&json!(503), &json!({ "ticket": 7 }))
        );
        assert_eq!(told(&Error::aborted("over"))["status"], 409);
        let masked = told(&Error::upstream("the key is wrong").with_context("key", "k"));
        assert_eq!(masked["status"], 500);
        assert!(masked.get("data").is_none(), "{masked}");
    }
}

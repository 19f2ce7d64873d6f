//! A run as a stream of events: the closed list of them, each with a text as its data.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{EventWriter, RunEnd, Transcript};

use crate::Api;
use crate::runs::Started;
use crate::status;

/// A longer text comes in several events.
const LONGEST_DELTA: usize = 4 * 1024;

pub(crate) fn respond(api: Arc<Api>, started: Started) -> Response {
    let mut guard = api.guard(&started.run_id);
    let (host, run_id) = (api.host.clone(), started.run_id.clone());
    let shown = Response::events(&host, move |writer| async move {
        write(&api, &started, writer.paced()).await?;
        guard.release();
        Ok(())
    });
    shown.with_header("mortise-run-id", run_id)
}

async fn write(api: &Api, started: &Started, mut writer: EventWriter) -> Result<()> {
    let id = started.run_id.as_str();
    let ids = json!({ "runId": id, "sessionId": started.session });
    send(&mut writer, "START", &ids.to_string()).await?;
    let mut events = api.host.events(id, None).in_pieces(LONGEST_DELTA);
    let mut told = Transcript::default();
    while let Some(event) = writer.next(&mut events).await {
        let Ok(event) = event.map(|numbered| numbered.event) else {
            let message = "The events of the run cannot be read.";
            return send(&mut writer, "ERROR", message).await;
        };
        told.add(&event);
        if let Some((kind, data)) = shown(&event, &told) {
            send(&mut writer, kind, &data).await?;
        }
        // The list of events is closed: what waits or was cancelled ends without a word.
        match &told.end {
            None if told.waiting().is_none() => {}
            None | Some(RunEnd::Aborted) => break,
            Some(RunEnd::Finished) => {
                let questions = api.followups(started, &told).await;
                let stop = |it| json!({ "followups": it, "followUpSuggestions": it }).to_string();
                let stop = questions.map_or_else(String::new, stop);
                return send(&mut writer, "STOP", &stop).await;
            }
            Some(RunEnd::Failed { code, message }) => {
                let message = status::public_message(code, message);
                return send(&mut writer, "ERROR", message).await;
            }
        }
    }
    Ok(())
}

/// What of an event has a form here, but for ends.
fn shown(event: &Event, told: &Transcript) -> Option<(&'static str, String)> {
    Some(match event {
        Event::TextMessageContent { delta, .. } => ("CONTENT_DELTA", delta.clone()),
        Event::ReasoningMessageContent { delta, .. } => ("REASONING_DELTA", delta.clone()),
        Event::ToolCallEnd { call, .. } => {
            let call = told.call(&call.tool_call_id)?;
            // An object, also where the model has written none.
            let arguments = Some(call.arguments()).filter(Value::is_object);
            let arguments = arguments.unwrap_or_else(|| json!({}));
            let data = json!({ "name": call.name, "arguments": arguments });
            ("TOOL_START", data.to_string())
        }
        Event::ToolCallResult { call, .. } => {
            let call = told.call(&call.tool_call_id)?;
            let data = json!({ "name": call.name, "result": call.result });
            ("TOOL_END", data.to_string())
        }
        _ => return None,
    })
}

async fn send(writer: &mut EventWriter, kind: &str, data: &str) -> Result<()> {
    let timestamp = writer.timestamp();
    let frame = json!({ "event": kind, "data": data, "timestamp": timestamp });
    writer.send(&frame).await
}

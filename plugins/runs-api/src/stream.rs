//! A run as a stream of events: the closed list of them, each with a text as its data.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{EventWriter, RunEnd, RunGuard, Transcript};

use crate::Api;
use crate::runs::Started;
use crate::status;

/// A longer text comes in several events.
const LONGEST_DELTA: usize = 4 * 1024;

/// Writes events, with times that never go back.
struct Frames {
    host: Host,
    writer: EventWriter,
    last: u64,
}

pub(crate) fn respond(api: Arc<Api>, started: Started) -> Response {
    let mut guard = api.guard(&started.run_id);
    let (host, run_id) = (api.host.clone(), started.run_id.clone());
    let shown = Response::events(&host.clone(), move |writer| async move {
        let writer = writer.paced();
        let last = 0;
        write(&api, &started, Frames { host, writer, last }).await?;
        guard.iter_mut().for_each(RunGuard::release);
        Ok(())
    });
    shown.with_header("x-run-id", run_id)
}

async fn write(api: &Api, started: &Started, mut frames: Frames) -> Result<()> {
    let id = started.run_id.as_str();
    let ids = json!({ "runId": id, "sessionId": started.session });
    frames.write("START", &ids.to_string()).await?;
    let mut events = api.host.events(id, None).in_pieces(LONGEST_DELTA);
    let mut told = Transcript::default();
    while let Some(event) = frames.writer.next(&mut events).await {
        let Ok(event) = event.map(|numbered| numbered.event) else {
            let message = "The events of the run cannot be read.";
            return frames.write("ERROR", message).await;
        };
        told.add(&event);
        if let Some((kind, data)) = shown(&event, &told) {
            frames.write(kind, &data).await?;
        }
        // The list of events is closed: what waits or was cancelled ends without a word.
        match &told.end {
            None if told.waiting().is_none() => {}
            None | Some(RunEnd::Aborted) => break,
            Some(RunEnd::Finished) => {
                let questions = api.followups(started, &told).await;
                let stop = |it| json!({ "followups": it, "followUpSuggestions": it }).to_string();
                let stop = questions.map_or_else(String::new, stop);
                return frames.write("STOP", &stop).await;
            }
            Some(RunEnd::Failed { code, message }) => {
                let message = status::public_message(code, message);
                return frames.write("ERROR", message).await;
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
            let data = json!({ "name": call.name, "arguments": call.arguments() });
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

// === impl Frames ===

impl Frames {
    async fn write(&mut self, kind: &str, data: &str) -> Result<()> {
        self.last = self.host.now_millis().max(self.last);
        let frame = json!({ "event": kind, "data": data, "timestamp": self.last });
        self.writer.send(&frame).await
    }
}

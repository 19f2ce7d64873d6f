//! A run as a stream of events: the closed list of them, each with a text as its data.

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{RunEnd, RunGuard, Transcript};

use crate::Api;
use crate::runs::Started;
use crate::status;

/// A stream that is silent for so long gets a comment.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A longer text comes in several events.
const LONGEST_DELTA: usize = 4 * 1024;

/// After so many bytes the writer pauses: simple readers take a read for whole events, and get
/// whole ones as long as not more is under way than they read at once.
const BURST: usize = 8 * 1024;
const PAUSE: Duration = Duration::from_millis(10);

/// Writes events, with times that never go back.
struct Frames {
    host: Host,
    writer: BodyWriter,
    last: u64,
    burst: usize,
    /// Text that is not written yet, and its event: what is at hand together is written together.
    text: String,
    text_kind: &'static str,
}

pub(crate) fn respond(api: Arc<Api>, started: Started) -> Response {
    let mut guard = api.guard(&started.run_id);
    Response::stream("text/event-stream", move |writer| async move {
        let mut frames = Frames {
            host: api.host.clone(),
            writer,
            last: 0,
            burst: 0,
            text: String::new(),
            text_kind: "",
        };
        write(&api, started, &mut frames).await?;
        guard.iter_mut().for_each(RunGuard::release);
        Ok(())
    })
    .with_header("cache-control", "no-cache")
}

async fn write(api: &Arc<Api>, started: Started, frames: &mut Frames) -> Result<()> {
    let ids = json!({ "runId": started.run_id, "sessionId": started.session });
    frames.write("START", &ids.to_string()).await?;
    let mut events = api.host.events(started.run_id.as_str(), None);
    let mut transcript = Transcript::default();
    loop {
        if !events.has_ready() {
            frames.flush().await?;
        }
        let event = tokio::select! {
            event = events.next() => event,
            () = api.host.sleep(HEARTBEAT) => {
                frames.writer.write(": ping\n\n").await?;
                continue;
            }
        };
        let Some(event) = event else { return Ok(()) };
        let Ok(event) = event else {
            return frames
                .write("ERROR", "The events of the run cannot be read.")
                .await;
        };
        let event = event.event;
        transcript.add(&event);
        frames.show(&event, &transcript).await?;
        // The list of events is closed: what waits or was cancelled ends without a word.
        if transcript.waiting().is_some() {
            return Ok(());
        }
        match &transcript.end {
            None => {}
            Some(RunEnd::Finished) => {
                let data = match api.followups(&started, &transcript).await {
                    Some(questions) => {
                        json!({ "followups": questions, "followUpSuggestions": questions })
                            .to_string()
                    }
                    None => String::new(),
                };
                return frames.write("STOP", &data).await;
            }
            Some(RunEnd::Failed { code, message }) => {
                let message = status::public_message(code, message);
                return frames.write("ERROR", message).await;
            }
            Some(RunEnd::Aborted) => return Ok(()),
        }
    }
}

// === impl Frames ===

impl Frames {
    /// Shows what of an event has a form here, but for ends.
    async fn show(&mut self, event: &Event, transcript: &Transcript) -> Result<()> {
        match event {
            Event::TextMessageContent { delta, .. } => self.text("CONTENT_DELTA", delta).await,
            Event::ReasoningMessageContent { delta, .. } => {
                self.text("REASONING_DELTA", delta).await
            }
            Event::ToolCallEnd { call, .. } => {
                let Some(call) = transcript.call(&call.tool_call_id) else {
                    return Ok(());
                };
                let data = json!({ "name": call.name, "arguments": call.arguments() });
                self.write("TOOL_START", &data.to_string()).await
            }
            Event::ToolCallResult { call, .. } => {
                let Some(call) = transcript.call(&call.tool_call_id) else {
                    return Ok(());
                };
                let data = json!({ "name": call.name, "result": call.result });
                self.write("TOOL_END", &data.to_string()).await
            }
            _ => Ok(()),
        }
    }

    async fn text(&mut self, kind: &'static str, text: &str) -> Result<()> {
        if self.text_kind != kind {
            self.flush().await?;
            self.text_kind = kind;
        }
        self.text.push_str(text);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let mut end = rest.len().min(LONGEST_DELTA);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (delta, more) = rest.split_at(end);
            self.write_now(self.text_kind, delta).await?;
            rest = more;
        }
        Ok(())
    }

    async fn write(&mut self, kind: &str, data: &str) -> Result<()> {
        self.flush().await?;
        self.write_now(kind, data).await
    }

    async fn write_now(&mut self, kind: &str, data: &str) -> Result<()> {
        self.last = self.host.now_millis().max(self.last);
        let frame = json!({ "event": kind, "data": data, "timestamp": self.last });
        let frame = format!("data: {frame}\n\n");
        self.burst += frame.len();
        if self.burst > BURST {
            self.burst = frame.len();
            self.host.sleep(PAUSE).await;
        }
        self.writer.write(frame).await
    }
}

//! What a run has said and done so far, told from its events: for answers that are no stream.

use serde_json::{Value, json};

use crate::error::{Error, Result, failure_of};
use crate::event::{ApprovalStatus, Event, ToolTarget};
use crate::host::Host;
use crate::message::{Item, Usage};
use crate::run_status::RunStatus;

/// What a run has said and done so far.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Transcript {
    /// What the client asked.
    pub input: String,
    /// The text of the last call of the model.
    pub text: String,
    /// What the model thought, piece by piece.
    pub reasoning: Vec<String>,
    /// The tool calls, in order.
    pub calls: Vec<TranscriptCall>,
    /// How often the model was asked.
    pub model_calls: u32,
    /// What the run cost, once it has ended well.
    pub usage: Usage,
    /// How it ended, once it has.
    pub end: Option<RunEnd>,
    requests: u32,
}

/// A tool call.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TranscriptCall {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The message that made the call: the calls of one are done one after the other.
    pub message_id: String,
    /// Who is to do it, where that is known.
    pub target: Option<ToolTarget>,
    /// Whether the arguments are complete.
    pub is_complete: bool,
    /// As the model wrote them.
    pub arguments: String,
    /// The result: a text as it is, anything else as JSON.
    pub result: Option<String>,
    /// Whether the tool failed.
    pub is_error: bool,
    /// Whether somebody has to decide on it.
    pub waits_for_approval: bool,
    /// How many requests for approval came before its own.
    place: u32,
    started_at: u64,
    /// From the start of the call to its result.
    pub duration_ms: u64,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub enum RunEnd {
    /// Well.
    Finished,
    /// With an error.
    Failed {
        /// Its code.
        code: String,
        /// What it says.
        message: String,
    },
    /// It was aborted.
    Aborted,
}

// === impl Transcript ===

impl Transcript {
    /// What a run has said up to now; of a run that is answered as JSON that is nothing.
    pub async fn of(host: &Host, run: &RunStatus) -> Result<Self> {
        let mut transcript = Self::default();
        let is_running = run.ended_at.is_none();
        if is_running && run.last_seq.is_none() {
            return Ok(transcript);
        }
        let mut events = host.events(run.run_id.as_str(), None);
        while let Some(event) = events.next().await {
            let event = event?;
            transcript.add(&event.event);
            if is_running && Some(event.seq) >= run.last_seq {
                break;
            }
        }
        Ok(transcript)
    }

    /// What a run says until it ends, or until somebody has to decide on a call.
    pub async fn until_pause(host: &Host, run_id: &str) -> Result<Self> {
        Self::until(host, run_id, |_, told| told.waiting().is_some()).await
    }

    /// The same for a run that somebody has just decided on: until it ends, or until somebody has
    /// to decide on another call than this one.
    pub async fn until_next_pause(host: &Host, run: &RunStatus, decided: &str) -> Result<Self> {
        // What it waited for before is past; that this call was decided on may not be shown yet.
        let is_other = |call: &TranscriptCall| call.id != decided;
        Self::until(host, &run.run_id, |seq, told| {
            run.last_seq.is_none_or(|last| seq > last) && told.waiting().is_some_and(is_other)
        })
        .await
    }

    async fn until(host: &Host, run_id: &str, pauses: impl Fn(u64, &Self) -> bool) -> Result<Self> {
        let mut transcript = Self::default();
        let mut events = host.events(run_id, None);
        while let Some(event) = events.next().await {
            let event = event?;
            transcript.add(&event.event);
            if transcript.end.is_some() || pauses(event.seq, &transcript) {
                break;
            }
        }
        Ok(transcript)
    }

    /// Adds what comes next.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run_input, .. } => self.input = asked(&run_input["input"]),
            Event::StepStart { .. } => {
                self.model_calls += 1;
                self.text.clear();
            }
            Event::TextMessageContent { delta, .. } => self.text.push_str(delta),
            Event::ReasoningMessageStart { .. } => self.reasoning.push(String::new()),
            Event::ReasoningMessageContent { delta, .. } => {
                if let Some(thought) = self.reasoning.last_mut() {
                    thought.push_str(delta);
                }
            }
            Event::ToolCallStart { call, timestamp } => self.calls.push(TranscriptCall {
                id: call.tool_call_id.clone(),
                name: call.tool_call_name.clone(),
                message_id: call.parent_message_id.clone(),
                target: call.tool_target,
                started_at: *timestamp,
                ..TranscriptCall::default()
            }),
            Event::ToolCallArgs { call, delta, .. } => {
                if let Some(call) = self.call_mut(&call.tool_call_id) {
                    call.arguments.push_str(delta);
                }
            }
            Event::ToolCallEnd { call, .. } => {
                if let Some(call) = self.call_mut(&call.tool_call_id) {
                    call.is_complete = true;
                }
            }
            Event::ToolCallResult {
                call,
                result,
                is_error,
                timestamp,
                ..
            } => {
                if let Some(call) = self.call_mut(&call.tool_call_id) {
                    call.result = Some(text_of(result));
                    call.is_error = *is_error;
                    call.waits_for_approval = false;
                    call.duration_ms = timestamp.saturating_sub(call.started_at);
                }
            }
            Event::ToolApprovalRequired { call, .. } => {
                self.requests += 1;
                let place = self.requests;
                if let Some(call) = self.call_mut(&call.tool_call_id) {
                    call.place = place;
                    call.waits_for_approval = true;
                }
            }
            Event::ToolApprovalUpdated { call, approval, .. } => {
                if let Some(call) = self.call_mut(&call.tool_call_id) {
                    call.waits_for_approval = approval.state == ApprovalStatus::Requested;
                }
            }
            Event::RunFinished { result, .. } => {
                self.text = result.response.text_content();
                self.usage = result.response.usage;
                self.end = Some(RunEnd::Finished);
            }
            Event::RunError { error, .. } => {
                let code = error["code"].as_str().unwrap_or(Error::INTERNAL).to_owned();
                let message = failure_of(error).to_owned();
                self.end = Some(RunEnd::Failed { code, message });
            }
            Event::RunAborted { .. } => self.end = Some(RunEnd::Aborted),
            _ => {}
        }
    }

    /// Where the run stands by what it has said: `running`, `waiting` for a decision, `finished`,
    /// `failed` or `aborted`.
    pub fn state(&self) -> &'static str {
        match &self.end {
            Some(RunEnd::Finished) => "finished",
            Some(RunEnd::Failed { .. }) => "failed",
            Some(RunEnd::Aborted) => "aborted",
            None if self.waiting().is_some() => "waiting",
            None => "running",
        }
    }

    /// The call of this id.
    pub fn call(&self, id: &str) -> Option<&TranscriptCall> {
        self.calls.iter().rev().find(|call| call.id == id)
    }

    fn call_mut(&mut self, id: &str) -> Option<&mut TranscriptCall> {
        self.calls.iter_mut().rev().find(|call| call.id == id)
    }

    /// The call that waits for a decision, the one that was shown first: parts of a run may wait at
    /// the same time.
    pub fn waiting(&self) -> Option<&TranscriptCall> {
        let waiting = self.calls.iter().filter(|call| call.waits_for_approval);
        waiting.min_by_key(|call| call.place)
    }

    /// The calls that the run cannot go on without a client: all calls before them are done.
    pub fn waiting_for_client(&self) -> impl Iterator<Item = &TranscriptCall> {
        let waits = |(place, call): &(usize, &TranscriptCall)| {
            let mut before = self.calls[..*place]
                .iter()
                .filter(|other| other.message_id == call.message_id);
            call.target == Some(ToolTarget::Client)
                && call.is_complete
                && call.result.is_none()
                && before.all(|other| other.result.is_some())
        };
        let calls = self.calls.iter().enumerate();
        calls.filter(waits).map(|(_, call)| call)
    }

    /// A client has answered this call: its result may not be shown yet.
    pub fn answered(&mut self, id: &str, result: &Value) {
        if let Some(call) = self.call_mut(id) {
            call.result = Some(text_of(result));
        }
    }
}

// === impl TranscriptCall ===

impl TranscriptCall {
    /// The arguments as JSON, or the text itself where they are none.
    pub fn arguments(&self) -> Value {
        if self.arguments.is_empty() {
            return json!({});
        }
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| self.arguments.as_str().into())
    }
}

/// A text as it is, anything else as JSON.
fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The text of the last message of the user.
fn asked(input: &Value) -> String {
    if let Some(text) = input.as_str() {
        return text.to_owned();
    }
    let items: Vec<Item> = serde_json::from_value(input.clone()).unwrap_or_default();
    items.last().map(Item::text).unwrap_or_default()
}

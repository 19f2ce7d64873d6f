//! What a run has said and done so far, told from its events.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ApprovalState, ApprovalStatus};

/// What a run has said and done so far.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// What the client asked.
    pub(crate) input: String,
    /// The text of the last call of the model.
    pub(crate) text: String,
    pub(crate) reasoning: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) model_calls: u32,
    pub(crate) usage: Usage,
    pub(crate) end: Option<End>,
}

/// A tool call.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// As the model wrote them.
    pub(crate) arguments: String,
    pub(crate) result: Option<String>,
    pub(crate) is_error: bool,
    pub(crate) waits_for_approval: bool,
    started_at: u64,
    pub(crate) duration_ms: u64,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Finished,
    Failed { code: String, message: String },
    Aborted,
}

/// What clients read of a failure: no text of a provider.
fn public_message(code: &str, detail: &str) -> String {
    match code {
        "UPSTREAM_FAILED" => "The model provider failed.".to_owned(),
        "INTERNAL" => "An unexpected error occurred.".to_owned(),
        _ => detail.trim_start_matches("Run failed: ").to_owned(),
    }
}

// === impl Transcript ===

impl Transcript {
    pub(crate) fn add(&mut self, event: &Event) {
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
            Event::ToolCallStart { call, timestamp } => self.calls.push(Call {
                id: call.tool_call_id.clone(),
                name: call.tool_call_name.clone(),
                started_at: *timestamp,
                ..Call::default()
            }),
            Event::ToolCallArgs { call, delta, .. } => {
                if let Some(call) = self.call_mut(&call.tool_call_id) {
                    call.arguments.push_str(delta);
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
            Event::ToolApprovalRequired { call, approval, .. }
            | Event::ToolApprovalUpdated { call, approval, .. } => {
                if let Some(call) = self.call_mut(&call.tool_call_id) {
                    call.waits_for_approval = is_requested(approval);
                }
            }
            Event::RunFinished { result, .. } => {
                self.text = result.response.text_content();
                self.usage = result.response.usage;
                self.end = Some(End::Finished);
            }
            Event::RunError { error, .. } => {
                let code = error["code"].as_str().unwrap_or("INTERNAL").to_owned();
                let detail = error["detail"].as_str().unwrap_or_default();
                let message = public_message(&code, detail);
                self.end = Some(End::Failed { code, message });
            }
            Event::RunAborted { .. } => self.end = Some(End::Aborted),
            _ => {}
        }
    }

    pub(crate) fn call(&self, id: &str) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.id == id)
    }

    fn call_mut(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().rev().find(|call| call.id == id)
    }

    /// The call that waits for a decision.
    pub(crate) fn waiting(&self) -> Option<&Call> {
        self.calls.iter().find(|call| call.waits_for_approval)
    }
}

// === impl Call ===

impl Call {
    /// The arguments as JSON, or the text itself where they are none.
    pub(crate) fn arguments(&self) -> Value {
        if self.arguments.is_empty() {
            return json!({});
        }
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| self.arguments.as_str().into())
    }

    /// What a client is told that has to decide.
    pub(crate) fn required_action(&self) -> Value {
        json!({
            "type": "TOOL_APPROVAL",
            "approvalId": self.id,
            "toolName": self.name,
            "toolArguments": self.arguments(),
            "message": format!("The tool '{}' needs approval.", self.name),
        })
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

fn is_requested(approval: &ApprovalState) -> bool {
    approval.state == ApprovalStatus::Requested
}

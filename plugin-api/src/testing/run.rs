//! A run without a server: what is emitted is kept, tools and models are those at hand.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::host::{Shared, unavailable};
use crate::backend::{BoxFuture, RunBackend};
use crate::error::{Error, Result};
use crate::event::{Event, RunResult, ToolCallRef, ToolErrorKind, ToolTarget};
use crate::host::Host;
use crate::message::{Item, ModelResponse, Part, ToolCallItem, Visibility};
use crate::model::{Chunk, ChunkStream, ModelRequest};
use crate::plugin::Registrar;
use crate::run::{RunContext, RunInfo, ToolOutcome};
use crate::tool::ToolErrorMode;

/// What came of a run of an agent.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ran {
    /// What the agent showed, in order; `RUN_STARTED` and the end are the server's.
    pub events: Vec<Event>,
    /// What the agent returned.
    pub result: Result<RunResult>,
}

// === impl Ran ===

impl Ran {
    /// The wire names of the events.
    pub fn kinds(&self) -> Vec<&str> {
        self.events.iter().map(Event::kind).collect()
    }

    /// Everything that was said, all texts joined.
    pub fn text(&self) -> String {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::TextMessageContent { delta, .. } => Some(delta.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// A run that is going on.
#[derive(Clone)]
pub(super) struct FakeRun {
    shared: Arc<Shared>,
    own: Arc<Registrar>,
    info: Arc<RunInfo>,
    sent: Arc<Value>,
    host: Host,
    record: Arc<Record>,
}

/// What is kept of a run, also by the contexts of the tools that it calls.
struct Record {
    events: Mutex<Vec<Event>>,
    cancelled: watch::Sender<bool>,
}

#[derive(Deserialize)]
struct ToolCall {
    name: String,
    arguments: Value,
}

#[derive(Deserialize)]
struct Generate {
    model: String,
    request: ModelRequest,
}

// === impl FakeRun ===

impl FakeRun {
    pub(super) fn new(shared: Arc<Shared>, own: Arc<Registrar>, host: Host, info: RunInfo) -> Self {
        Self {
            shared,
            own,
            info: Arc::new(info),
            sent: Arc::default(),
            host,
            record: Arc::new(Record {
                events: Mutex::default(),
                cancelled: watch::Sender::new(false),
            }),
        }
    }

    /// The same run, for which a client has sent this context.
    pub(super) fn with_context(mut self, sent: Value) -> Self {
        self.sent = Arc::new(sent);
        self
    }

    pub(super) fn context(&self) -> RunContext {
        RunContext::new(Arc::new(self.clone()), self.host.clone())
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.record
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn push(&self, event: Event) {
        self.record
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    }

    fn emit_checked(&self, event: Event) -> Result<()> {
        self.push(event.emitted(self.shared.now_millis())?);
        Ok(())
    }

    /// The id of the text that begins.
    fn begin_text(&self) -> String {
        let message_id = self.shared.id("msg");
        self.push(Event::TextMessageStart {
            message_id: message_id.clone(),
            role: "assistant".to_owned(),
            timestamp: self.shared.now_millis(),
        });
        message_id
    }

    fn say(&self, text: &str) {
        let timestamp = self.shared.now_millis();
        let message_id = self.begin_text();
        self.push(Event::TextMessageContent {
            message_id: message_id.clone(),
            delta: text.to_owned(),
            timestamp,
        });
        self.push(Event::TextMessageEnd {
            message_id,
            timestamp,
        });
    }

    async fn call_tool(&self, called: ToolCall) -> Result<Value> {
        let ToolCall { name, arguments } = called;
        let own = self
            .own
            .all_tools()
            .into_iter()
            .find(|tool| tool.info().name == name);
        let scripted = self.shared.tool(&name);
        if !self.may_call(&name) {
            let agent = &self.info.agent;
            return Err(Error::not_found(format!(
                "the agent '{agent}' has no tool '{name}': AgentInfo::with_tool names it"
            )));
        }
        if own.is_none() && scripted.is_none() {
            return Err(Error::not_found(format!(
                "there is no tool '{name}': FakeHost::with_tool offers one"
            )));
        }
        let call = self.call_ref(
            &name,
            own.as_ref()
                .map_or(ToolTarget::Server, |own| own.info().target),
        );
        self.show_call(&call, arguments.to_string());
        let mode = own.as_ref().and_then(|own| own.info().error_mode);
        let result = match (own, scripted) {
            (_, Some(scripted)) => scripted(arguments),
            (Some(own), None) => {
                let mut info = (*self.info).clone();
                info.message_id = Some(call.parent_message_id.clone());
                info.tool_call_id = Some(call.tool_call_id.clone());
                let run = Self {
                    info: Arc::new(info),
                    ..self.clone()
                };
                own.call(run.context(), arguments).await
            }
            (None, None) => Err(Error::not_found("there is no such tool")),
        };
        let fails_run = mode == Some(ToolErrorMode::Throw);
        let thrown = result.as_ref().err().filter(|_| fails_run).cloned();
        let outcome = result.map_or_else(
            |error| {
                let error = match error.code() {
                    Some(_) => error,
                    None => Error::tool(format!("The tool '{name}' failed.")),
                };
                ToolOutcome {
                    result: tool_error(&name, &error),
                    is_error: true,
                    error: Some(error),
                }
            },
            |result| ToolOutcome {
                result,
                is_error: false,
                error: None,
            },
        );
        self.push(Event::ToolCallResult {
            call,
            result: outcome.result.clone(),
            is_error: outcome.is_error,
            error_kind: outcome.is_error.then_some(ToolErrorKind::Execution),
            timestamp: self.shared.now_millis(),
        });
        match thrown {
            Some(error) => Err(error),
            None => Ok(serde_json::to_value(outcome)?),
        }
    }

    /// Whether the agent of the run lists the tool; what is no agent of the plugin may call all.
    fn may_call(&self, name: &str) -> bool {
        let mut agents = self.own.agents.iter().map(|agent| agent.info());
        let Some(agent) = agents.find(|agent| agent.name == self.info.agent) else {
            return true;
        };
        agent
            .tools
            .iter()
            .any(|listed| match listed.rsplit_once('.') {
                Some((_, "*")) => true,
                Some((_, tool)) => tool == name,
                None => listed == name,
            })
    }

    fn call_ref(&self, name: &str, target: ToolTarget) -> ToolCallRef {
        ToolCallRef {
            parent_message_id: self.shared.id("msg"),
            tool_call_id: self.shared.id("call"),
            tool_call_name: name.to_owned(),
            run_id: self.info.run_id.clone(),
            agent_name: self.info.agent.clone(),
            tool_target: Some(target),
        }
    }

    fn show_call(&self, call: &ToolCallRef, arguments: String) {
        let timestamp = self.shared.now_millis();
        self.push(Event::ToolCallStart {
            call: call.clone(),
            timestamp,
        });
        self.push(Event::ToolCallArgs {
            call: call.clone(),
            delta: arguments,
            timestamp,
        });
        self.push(Event::ToolCallEnd {
            call: call.clone(),
            timestamp,
        });
    }

    async fn chunks(&self, model: &str, request: ModelRequest) -> Result<ChunkStream> {
        if let Some(scripted) = self.shared.model(model) {
            return Ok(ChunkStream::from_chunks(scripted(request)?));
        }
        let own = model
            .strip_prefix(&self.shared.instance)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|name| self.own.models.iter().find(|own| own.info().name == name));
        match own {
            Some(own) => Arc::clone(own).generate(self.context(), request).await,
            None => Err(Error::not_found(format!(
                "there is no model '{model}': FakeHost::with_model offers one"
            ))),
        }
    }

    /// Shows the chunks of an answer as they come, and puts the answer together.
    async fn generate(&self, model: &str, request: ModelRequest) -> Result<ModelResponse> {
        let mut chunks = self.chunks(model, request).await?;
        let mut answer = Answer {
            run: self,
            message_id: self.shared.id("msg"),
            open: None,
            parts: Vec::new(),
            calls: Vec::new(),
            response: ModelResponse::default(),
        };
        let mut finished = false;
        while let Some(chunk) = chunks.next().await {
            finished = matches!(chunk, Ok(Chunk::Finish { .. }));
            answer.take(chunk?);
        }
        if !finished {
            return Err(Error::upstream("the model's answer was cut"));
        }
        Ok(answer.complete())
    }
}

/// The object that a model reads when a tool fails.
fn tool_error(name: &str, error: &Error) -> Value {
    let mut object = json!({
        "type": "tool_error",
        "toolName": name,
        "errorKind": "execution",
        "message": error.message(),
    });
    if error.code() != Some(Error::TOOL) {
        object["retryable"] = error.is_retryable().into();
    }
    object
}

impl RunBackend for FakeRun {
    fn info(&self) -> RunInfo {
        RunInfo::clone(&self.info)
    }

    fn context(&self) -> Value {
        Value::clone(&self.sent)
    }

    fn emit(&self, event: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(self.emit_checked(event)))
    }

    fn is_cancelled(&self) -> bool {
        *self.record.cancelled.borrow()
    }

    fn cancelled(&self) -> BoxFuture<'_, ()> {
        let mut cancelled = self.record.cancelled.subscribe();
        Box::pin(async move {
            // Fails only without a sender, and that is ours.
            let _ = cancelled.wait_for(|cancelled| *cancelled).await;
        })
    }

    fn generate<'a>(
        &'a self,
        model: &'a str,
        request: ModelRequest,
    ) -> BoxFuture<'a, Result<ChunkStream>> {
        Box::pin(self.chunks(model, request))
    }

    fn call<'a>(&'a self, service: &'a str, payload: Value) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move {
            if let Some(answer) = self.shared.scripted(service, &payload) {
                return answer;
            }
            match service {
                "run.say" => self.say(payload["text"].as_str().unwrap_or_default()),
                "run.begin_text" => return Ok(self.begin_text().into()),
                "run.abort" => {
                    self.record.cancelled.send_replace(true);
                }
                "run.history" => return Ok(json!([])),
                "run.call_tool" => return self.call_tool(serde_json::from_value(payload)?).await,
                "run.generate" => {
                    let Generate { model, request } = serde_json::from_value(payload)?;
                    let response = Self::generate(self, &model, request).await?;
                    return Ok(serde_json::to_value(response)?);
                }
                other => return Err(unavailable(other)),
            }
            Ok(Value::Null)
        })
    }
}

/// The answer of a model while it grows.
struct Answer<'a> {
    run: &'a FakeRun,
    message_id: String,
    open: Option<Open>,
    parts: Vec<Part>,
    calls: Vec<(ToolCallRef, ToolCallItem)>,
    response: ModelResponse,
}

/// The part whose deltas are coming.
enum Open {
    Text(String),
    Reasoning(String, Visibility),
}

impl Answer<'_> {
    fn take(&mut self, chunk: Chunk) {
        let timestamp = self.run.shared.now_millis();
        match chunk {
            Chunk::MessageId { id } => self.message_id = id,
            Chunk::Text { delta } => {
                if !matches!(self.open, Some(Open::Text(_))) {
                    self.close();
                    self.open = Some(Open::Text(String::new()));
                    self.run.push(Event::TextMessageStart {
                        message_id: self.message_id.clone(),
                        role: "assistant".to_owned(),
                        timestamp,
                    });
                }
                if let Some(Open::Text(text)) = &mut self.open {
                    text.push_str(&delta);
                }
                self.run.push(Event::TextMessageContent {
                    message_id: self.message_id.clone(),
                    delta,
                    timestamp,
                });
            }
            Chunk::Reasoning { delta, visibility } => {
                if !matches!(self.open, Some(Open::Reasoning(_, open)) if open == visibility) {
                    self.close();
                    self.open = Some(Open::Reasoning(String::new(), visibility));
                    self.run.push(Event::ReasoningMessageStart {
                        message_id: self.message_id.clone(),
                        role: "assistant".to_owned(),
                        visibility,
                        timestamp,
                    });
                }
                if let Some(Open::Reasoning(text, _)) = &mut self.open {
                    text.push_str(&delta);
                }
                self.run.push(Event::ReasoningMessageContent {
                    message_id: self.message_id.clone(),
                    visibility,
                    delta,
                    timestamp,
                });
            }
            Chunk::ToolCallStart { call_id, name } => self.start_call(call_id, name, timestamp),
            Chunk::ToolCallArguments { call_id, delta } => {
                if let Some((call, item)) = self.call(&call_id) {
                    item.arguments.push_str(&delta);
                    let call = call.clone();
                    self.run.push(Event::ToolCallArgs {
                        call,
                        delta,
                        timestamp,
                    });
                }
            }
            Chunk::ToolCallEnd { call_id } => {
                if let Some((call, _)) = self.call(&call_id) {
                    let call = call.clone();
                    self.run.push(Event::ToolCallEnd { call, timestamp });
                }
            }
            Chunk::Part { part } => {
                self.close();
                self.parts.push(Part::Other(part));
            }
            Chunk::ReasoningProvider { .. } => {}
            Chunk::Usage { usage } => self.response.usage = usage,
            Chunk::Finish { reason } => self.response.finish_reason = reason,
        }
    }

    fn start_call(&mut self, call_id: String, name: String, timestamp: u64) {
        self.close();
        let mut call = self.run.call_ref(&name, ToolTarget::Server);
        call.parent_message_id.clone_from(&self.message_id);
        call.tool_call_id.clone_from(&call_id);
        self.run.push(Event::ToolCallStart {
            call: call.clone(),
            timestamp,
        });
        let item = ToolCallItem {
            call_id,
            name,
            arguments: String::new(),
            result: None,
            is_error: false,
        };
        self.calls.push((call, item));
    }

    fn call(&mut self, id: &str) -> Option<&mut (ToolCallRef, ToolCallItem)> {
        self.calls.iter_mut().find(|(_, item)| item.call_id == id)
    }

    /// Ends the part whose deltas were coming.
    fn close(&mut self) {
        let timestamp = self.run.shared.now_millis();
        let message_id = self.message_id.clone();
        match self.open.take() {
            None => {}
            Some(Open::Text(text)) => {
                self.parts.push(Part::text(text));
                self.run.push(Event::TextMessageEnd {
                    message_id,
                    timestamp,
                });
            }
            Some(Open::Reasoning(text, visibility)) => {
                self.parts.push(Part::Reasoning {
                    text,
                    visibility,
                    provider: None,
                });
                self.run.push(Event::ReasoningMessageEnd {
                    message_id,
                    visibility,
                    timestamp,
                });
            }
        }
    }

    fn complete(mut self) -> ModelResponse {
        self.close();
        if !self.parts.is_empty() {
            let parts = std::mem::take(&mut self.parts);
            self.response.output.push(Item::parts("assistant", parts));
        }
        let calls = self.calls.into_iter().map(|(_, call)| Item::ToolCall(call));
        self.response.output.extend(calls);
        self.response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use crate::prelude::*;
    use crate::testing::FakeHost;

    struct Sleepy;

    impl Plugin for Sleepy {
        type Config = NoConfig;
        const NAME: &'static str = "sleepy";
        const VERSION: &'static str = "0.1.0";

        fn create(_config: NoConfig, _host: Host) -> Result<Self> {
            Ok(Self)
        }

        fn register(&self, registrar: &mut Registrar) {
            registrar.tool(Nap);
        }
    }

    struct Nap;

    impl Tool for Nap {
        fn info(&self) -> ToolInfo {
            ToolInfo::without_arguments("nap", "Sleeps for a minute")
        }

        async fn call(&self, run: RunContext, arguments: Value) -> Result<Value> {
            if arguments["gives_up"] == true {
                run.abort().await?;
            }
            run.sleep(Duration::from_secs(60)).await?;
            Ok(json!("slept"))
        }
    }

    #[tokio::test]
    async fn a_sleep_ends_with_its_time_or_with_the_run() {
        let host = FakeHost::new("sleepy");
        let sleepy = host.load::<Sleepy>(json!({})).unwrap();

        let mut napping = Box::pin(sleepy.call_tool("nap", json!({})));
        assert!((&mut napping).now_or_never().is_none());
        host.advance(Duration::from_secs(60));
        assert_eq!(napping.await, Ok(json!("slept")));

        let given_up = sleepy.call_tool("nap", json!({ "gives_up": true })).await;
        assert_eq!(given_up.unwrap_err().code(), Some(Error::ABORTED));
    }

    #[test]
    fn a_tool_without_arguments_refuses_any() {
        let schema = Nap.info().schema;
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["type"], "object");
    }
}

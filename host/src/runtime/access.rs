//! What plugins may ask in a run: the services behind `RunContext`.

use std::sync::Arc;

use mortise_plugin_api::{
    ChunkStream, Error, Event, ModelRequest, Result, RunInfo, RunResult, ToolOutcome,
};
use serde::Deserialize;
use serde_json::Value;

use super::active::ActiveRun;
use super::checkpoint::Answered;
use super::engine::Engine;
use super::input;
use super::lineage::Parent;
use super::part::{self, Asked};
use super::step;
use super::tools::{self, CallOutcome, PendingCall};
use super::usage::Bill;
use crate::plugin::capability::{BoxFuture, RunServices};

/// Where in a run a plugin is called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub(crate) step: u32,
    pub(crate) message_id: Option<String>,
    pub(crate) tool_call_id: Option<String>,
    /// What an event hook shows would wait for the hook itself.
    pub(crate) in_event_stage: bool,
}

/// The services of a run, at one place in it.
pub(crate) struct RunAccess {
    engine: Arc<Engine>,
    run: Arc<ActiveRun>,
    place: Place,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

#[derive(Deserialize)]
struct Generate {
    model: String,
    request: ModelRequest,
}

#[derive(Deserialize)]
struct RunAgent {
    agent: String,
    input: Value,
    #[serde(default)]
    context: Option<Value>,
}

#[derive(Deserialize)]
struct CallTool {
    name: String,
    arguments: Value,
}

// === impl RunAccess ===

impl RunAccess {
    pub(crate) fn new(engine: Arc<Engine>, run: Arc<ActiveRun>, place: Place) -> Self {
        Self { engine, run, place }
    }

    /// Whether a plugin may show anything here.
    fn check_place(&self) -> Result<()> {
        if self.place.in_event_stage {
            return Err(Error::bad_request(
                "an event hook shows nothing itself: it cannot emit, say, generate, call a tool or run \
                 an agent; answer `Replace`, hold and release, or use `generate_chunks`",
            ));
        }
        self.check_alive()
    }

    fn check_alive(&self) -> Result<()> {
        if self.run.log.is_closed() {
            let message = format!("the run '{}' has ended", self.run.id);
            return Err(Error::aborted(message));
        }
        Ok(())
    }

    async fn emit_checked(&self, event: Event) -> Result<()> {
        self.check_place().inspect_err(|error| {
            if error.code() == Some(Error::ABORTED) {
                self.run.meters.event_was_late();
            }
        })?;
        let event = event.emitted(self.engine.clock.now_millis())?;
        self.engine.emit(&self.run, event).await?;
        // What the plugin does next, and how long it takes, is not known here.
        self.run.log.flush();
        Ok(())
    }

    async fn dispatch(&self, service: &str, payload: Value) -> Result<Value> {
        match service {
            "run.say" => {
                let Say { text } = serde_json::from_value(payload)?;
                self.say(text).await.map(|()| Value::Null)
            }
            "run.begin_text" => self.begin_text().await.map(Value::from),
            "run.generate" => {
                self.check_place()?;
                let Generate { model, request } = serde_json::from_value(payload)?;
                self.generate_shown(&model, request).await
            }
            "run.call_tool" => {
                self.check_place()?;
                let CallTool { name, arguments } = serde_json::from_value(payload)?;
                let outcome = self.call_tool(&name, &arguments).await?;
                Ok(serde_json::to_value(outcome)?)
            }
            "run.agent" => {
                self.check_place()?;
                let RunAgent {
                    agent,
                    input,
                    context,
                } = serde_json::from_value(payload)?;
                let asked = Asked { input, context };
                Ok(serde_json::to_value(self.run_agent(&agent, asked).await?)?)
            }
            "run.history" => {
                let history = input::load_history(&self.engine, &self.run).await?;
                Ok(serde_json::to_value(&*history.items)?)
            }
            "run.abort" => {
                self.run.cancel.cancel();
                Ok(Value::Null)
            }
            other => Err(Error::unavailable(format!(
                "a run has no service '{other}'"
            ))),
        }
    }

    /// The id of the text that begins.
    async fn begin_text(&self) -> Result<String> {
        let message_id = self.engine.ids.message();
        let start = Event::TextMessageStart {
            message_id: message_id.clone(),
            role: "assistant".into(),
            timestamp: self.engine.clock.now_millis(),
        };
        self.emit_checked(start).await?;
        Ok(message_id)
    }

    async fn say(&self, text: String) -> Result<()> {
        let timestamp = self.engine.clock.now_millis();
        let message_id = self.begin_text().await?;
        let content = Event::TextMessageContent {
            message_id: message_id.clone(),
            delta: text,
            timestamp,
        };
        self.emit_checked(content).await?;
        self.emit_checked(Event::TextMessageEnd {
            message_id,
            timestamp,
        })
        .await
    }

    async fn generate_shown(&self, model: &str, mut request: ModelRequest) -> Result<Value> {
        let agents = self.engine.agents.now();
        let entry = agents
            .model(model)
            .ok_or_else(|| Error::not_found(format!("there is no model '{model}'")))?;
        request.options = entry.with_defaults(request.options);
        let Answered { response, .. } =
            step::ask_model(&self.engine, &self.run, &entry, request, self.place.step).await?;
        Ok(serde_json::to_value(response)?)
    }

    async fn run_agent(&self, agent: &str, asked: Asked) -> Result<RunResult> {
        let parent = Parent {
            run: Arc::clone(&self.run),
            call_id: self.place.tool_call_id.clone(),
        };
        part::run_part(Arc::clone(&self.engine), parent, agent, asked).await
    }

    /// A call that a coded agent makes: shown, validated, approved and answered like any other.
    async fn call_tool(&self, name: &str, arguments: &Value) -> Result<ToolOutcome> {
        let agent = &self.run.agent;
        if agent.tool(name).is_none() {
            let message = format!("the agent '{}' has no tool '{name}'", agent.name);
            return Err(Error::not_found(message));
        }
        let ids = &self.engine.ids;
        let mut call = PendingCall::new(ids.call(), name, &ids.message());
        call.arguments = serde_json::to_string(arguments)?;
        tools::show_call(&self.engine, &self.run, &mut call).await?;
        let CallOutcome {
            result,
            is_error,
            error,
        } = Box::pin(tools::execute(
            &self.engine,
            &self.run,
            call,
            self.place.step,
        ))
        .await?;
        Ok(ToolOutcome {
            result,
            is_error: is_error || error.is_some(),
            error,
        })
    }
}

impl RunServices for RunAccess {
    fn info(&self) -> Arc<RunInfo> {
        let mut info = RunInfo::default();
        info.run_id = self.run.id.to_string();
        info.agent = self.run.agent.name.to_string();
        let parent = self.run.lineage.parent();
        info.parent_run_id = parent.map(|parent| parent.run.id.to_string());
        info.conversation_id = self.run.conversation_id().map(str::to_owned);
        info.principal = (*self.run.owner).clone();
        info.request_id = self.run.request_id.to_string();
        info.step = self.place.step;
        info.message_id.clone_from(&self.place.message_id);
        info.tool_call_id.clone_from(&self.place.tool_call_id);
        Arc::new(info)
    }

    fn context(&self) -> Option<&Value> {
        self.run.request.context.as_ref()
    }

    fn emit(self: Arc<Self>, event: Event) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { self.emit_checked(event).await })
    }

    fn is_cancelled(&self) -> bool {
        self.run.cancel.is_cancelled()
    }

    fn cancelled(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.run.cancel.cancelled().await })
    }

    fn generate(
        self: Arc<Self>,
        model: String,
        mut request: ModelRequest,
    ) -> BoxFuture<'static, Result<ChunkStream>> {
        Box::pin(async move {
            // It is shown to nobody, so that an event hook may ask a model what it thinks of an event.
            self.check_alive()?;
            let entry = self
                .engine
                .agents
                .now()
                .model(&model)
                .ok_or_else(|| Error::not_found(format!("there is no model '{model}'")))?;
            entry.own_name().clone_into(&mut request.model);
            request.options = entry.with_defaults(request.options);
            let bill = Bill::open(&self.engine, &self.run, &entry)?;
            let access = self.engine.access(&self.run, self.place.clone());
            let stream = entry.model.generate(access, &request).await?;
            Ok(bill.watch(stream))
        })
    }

    fn call(self: Arc<Self>, service: String, payload: Value) -> BoxFuture<'static, Result<Value>> {
        Box::pin(async move { self.dispatch(&service, payload).await })
    }
}

//! What a plugin knows of the run at hand, and may ask in it.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::backend::RunBackend;
use crate::error::{Error, Result};
use crate::event::{Event, RunResult};
use crate::host::Host;
use crate::message::{Item, ModelResponse};
use crate::model::{ChunkStream, ModelRequest};
use crate::principal::Principal;
use crate::text::TextWriter;

/// The run at hand, for agents, models, tools and hooks. Cheap to clone.
#[derive(Clone)]
pub struct RunContext {
    /// Asked of the host when somebody wants to know: most stages do not.
    info: Arc<OnceLock<RunInfo>>,
    /// The same; it may be large.
    context: Arc<OnceLock<Value>>,
    backend: Arc<dyn RunBackend>,
    host: Host,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RunInfo {
    /// The run's id.
    pub run_id: String,
    /// Its agent.
    pub agent: String,
    /// The run that this one is a part of, where another agent handed it the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_run_id: Option<String>,
    /// The conversation that it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// Who asked.
    pub principal: Principal,
    /// The request that started it.
    pub request_id: String,
    /// The step at hand, from 0.
    pub step: u32,
    /// For tools: the message that made the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// For tools: the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// What came of a tool call that an agent asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolOutcome {
    /// The result, or a `tool_error` object.
    pub result: Value,
    /// Whether the tool failed, or was not called because nobody approved.
    #[serde(default)]
    pub is_error: bool,
    /// Why: with the tool's code, context and issues; [`Error::DENIED`] where nobody approved.
    #[serde(default)]
    pub error: Option<Error>,
}

// === impl RunContext ===

impl RunContext {
    pub(crate) fn new(backend: Arc<dyn RunBackend>, host: Host) -> Self {
        Self {
            info: Arc::default(),
            context: Arc::default(),
            backend,
            host,
        }
    }

    /// What is known of the run.
    pub fn info(&self) -> &RunInfo {
        self.info.get_or_init(|| self.backend.info())
    }

    /// The context that the client sent, validated against the agent's schema; `null` where there is
    /// none.
    pub fn context(&self) -> &Value {
        self.context.get_or_init(|| self.backend.context())
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Shows an event to whoever watches the run.
    ///
    /// Events appear in the order of these calls. Waits only while the run's queue is full. Once the run
    /// has ended, this and all that asks something of it fails with `ABORTED`, but for
    /// [`history`](Self::history) and [`abort`](Self::abort).
    pub async fn emit(&self, event: Event) -> Result<()> {
        self.backend.emit(event).await
    }

    /// Shows a value, as a `DATA_PART` event.
    pub async fn emit_data(&self, id: Option<&str>, data: Value) -> Result<()> {
        self.emit(Event::data(id.map(Into::into), data)).await
    }

    /// Says a whole text: its start, the text as one delta, its end.
    pub async fn say(&self, text: &str) -> Result<()> {
        self.call("run.say", json!({ "text": text }))
            .await
            .map(drop)
    }

    /// Says a text piece by piece, as it comes to be.
    ///
    /// ```
    /// use mortise_plugin_api::prelude::*;
    ///
    /// async fn count(run: &RunContext) -> Result<()> {
    ///     let mut text = run.text();
    ///     for number in 1..=3 {
    ///         text.write(&format!("{number} ")).await?;
    ///     }
    ///     text.end().await
    /// }
    /// ```
    pub fn text(&self) -> TextWriter {
        TextWriter::new(self.clone())
    }

    /// Shows the chunks of a model's answer as they come, and returns the whole answer.
    ///
    /// The calls that the model makes are shown, but not executed: see
    /// [`call_tool`](Self::call_tool).
    pub async fn generate(&self, model: &str, request: &ModelRequest) -> Result<ModelResponse> {
        let payload = json!({ "model": model, "request": request });
        Ok(serde_json::from_value(
            self.call("run.generate", payload).await?,
        )?)
    }

    /// The chunks of a model's answer, shown to nobody.
    ///
    /// `model` is `instance/name` as in the configuration.
    pub async fn generate_chunks(&self, model: &str, request: ModelRequest) -> Result<ChunkStream> {
        self.backend.generate(model, request).await
    }

    /// Calls a tool: shown in the stream, validated, approved where needed, and, for client
    /// tools, answered by the client.
    ///
    /// # Errors
    /// `NOT_FOUND` for a tool this agent does not have; what the tool fails with is no error
    /// here but an outcome, unless the tool's error mode is `throw`.
    pub async fn call_tool(&self, name: &str, arguments: Value) -> Result<ToolOutcome> {
        let payload = json!({ "name": name, "arguments": arguments });
        Ok(serde_json::from_value(
            self.call("run.call_tool", payload).await?,
        )?)
    }

    /// Runs another agent as a part of this run, and waits for what it comes to.
    ///
    /// It sees the context of this run, takes its steps from the same budget and is cancelled with
    /// it. Its events are shown in this run's stream, see [`SubAgentEvent`](crate::SubAgentEvent);
    /// its approvals and client tools are answered there. Several may run at the same time.
    ///
    /// # Errors
    /// `NOT_FOUND` for an agent that this one does not name in its `agents`; otherwise what the
    /// other run failed with.
    pub async fn run_agent(&self, name: &str, input: impl Into<Value>) -> Result<RunResult> {
        let payload = json!({ "agent": name, "input": input.into() });
        Ok(serde_json::from_value(
            self.call("run.agent", payload).await?,
        )?)
    }

    /// [`run_agent`](Self::run_agent) with a context of its own in place of this run's.
    pub async fn run_agent_in(
        &self,
        context: Value,
        name: &str,
        input: impl Into<Value>,
    ) -> Result<RunResult> {
        let payload = json!({ "agent": name, "input": input.into(), "context": context });
        Ok(serde_json::from_value(
            self.call("run.agent", payload).await?,
        )?)
    }

    /// The stored history of the conversation, oldest first.
    pub async fn history(&self) -> Result<Vec<Item>> {
        Ok(serde_json::from_value(
            self.call("run.history", Value::Null).await?,
        )?)
    }

    /// Whether the run is being cancelled, or has ended.
    pub fn is_cancelled(&self) -> bool {
        self.backend.is_cancelled()
    }

    /// Resolves when the run is being cancelled: it was aborted, or took too long. What is awaited after
    /// that has a second to end. At the latest it resolves at the end of the run, for tasks that must not
    /// outlive it.
    pub async fn cancelled(&self) {
        self.backend.cancelled().await;
    }

    /// Fails with `ABORTED` if the run is being cancelled: for long loops.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(self.aborted());
        }
        Ok(())
    }

    /// Sleeps, on the host's clock; fails with `ABORTED` as soon as the run is being cancelled.
    pub async fn sleep(&self, duration: Duration) -> Result<()> {
        let slept = pin!(self.host.sleep(duration));
        let cancelled = pin!(self.cancelled());
        match select(cancelled, slept).await {
            Either::Left(_) => Err(self.aborted()),
            Either::Right(_) => Ok(()),
        }
    }

    fn aborted(&self) -> Error {
        Error::aborted(format!("run '{}' was aborted", self.info().run_id))
    }

    /// Aborts the run.
    pub async fn abort(&self) -> Result<()> {
        self.call("run.abort", Value::Null).await.map(drop)
    }

    pub(crate) async fn call(&self, service: &str, payload: Value) -> Result<Value> {
        self.backend.call(service, payload).await
    }
}

impl fmt::Debug for RunContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunContext")
            .field("info", self.info())
            .finish_non_exhaustive()
    }
}

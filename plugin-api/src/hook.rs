//! Hooks: plugin code at the fixed stages of a request or a run.

use std::future::Future;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Issue, Result};
use crate::event::{Event, ToolErrorKind};
use crate::message::{Item, ModelResponse, Usage};
use crate::model::{ModelRequest, ToolChoice};
use crate::request::{Principal, Request, Response};
use crate::run::{RunContext, RunInfo};

/// Plugin code at fixed stages.
///
/// [`info`](Self::info) names the stages; the host calls no other, so that a stage which is not
/// named costs nothing. Every method has a default that changes nothing. Within a stage, hooks
/// run in the order of the configuration.
///
/// ```
/// use mortise_plugin_api::prelude::*;
///
/// /// Nobody runs agents on Sundays.
/// struct Sabbath(Host);
///
/// impl Hook for Sabbath {
///     fn info(&self) -> HookInfo {
///         HookInfo::new("sabbath").on(Stage::Guard)
///     }
///
///     async fn guard(&self, _request: Request) -> Result<GuardVerdict> {
///         let days_since_epoch = self.0.now_millis() / 86_400_000;
///         if days_since_epoch % 7 == 3 {
///             return Ok(GuardVerdict::Respond(Response::text("come back tomorrow").with_status(403)));
///         }
///         Ok(GuardVerdict::Pass)
///     }
/// }
/// ```
pub trait Hook: Send + Sync + 'static {
    /// The name and the stages; asked once, at load.
    fn info(&self) -> HookInfo;

    /// [`Stage::Guard`], for guards that answer at once
    /// ([`HookInfo::answers_at_once`]): no future, no allocation.
    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        let _ = request;
        Ok(GuardVerdict::Pass)
    }

    /// [`Stage::Guard`]: may this request go on? Called after the server's secret was checked and
    /// before the body is validated or an agent is looked up.
    fn guard(&self, request: Request) -> impl Future<Output = Result<GuardVerdict>> + Send {
        let verdict = self.guard_now(&request);
        async move { verdict }
    }

    /// [`Stage::Step`]: a step is about to begin.
    fn step(
        &self,
        run: RunContext,
        step: StepInput,
    ) -> impl Future<Output = Result<StepChange>> + Send {
        let _ = (run, step);
        async { Ok(StepChange::default()) }
    }

    /// [`Stage::BeforeModel`]: the model is about to be asked. `Some` replaces the request.
    fn before_model(
        &self,
        run: RunContext,
        request: ModelRequest,
    ) -> impl Future<Output = Result<Option<ModelRequest>>> + Send {
        let _ = (run, request);
        async { Ok(None) }
    }

    /// [`Stage::AfterModel`]: the model has answered. `Some` replaces the answer from which the
    /// history and `RUN_FINISHED` are built; what was streamed already has been shown.
    fn after_model(
        &self,
        run: RunContext,
        response: ModelResponse,
    ) -> impl Future<Output = Result<Option<ModelResponse>>> + Send {
        let _ = (run, response);
        async { Ok(None) }
    }

    /// [`Stage::BeforeTool`]: a tool is about to be called, before validation and approval.
    fn before_tool(
        &self,
        run: RunContext,
        call: ToolCall,
    ) -> impl Future<Output = Result<BeforeTool>> + Send {
        let _ = (run, call);
        async { Ok(BeforeTool::Continue) }
    }

    /// [`Stage::AfterTool`]: a tool call is over, also a skipped, failed or denied one. `Some`
    /// replaces the result.
    fn after_tool(
        &self,
        run: RunContext,
        ended: ToolCallEnded,
    ) -> impl Future<Output = Result<Option<Value>>> + Send {
        let _ = (run, ended);
        async { Ok(None) }
    }

    /// [`Stage::ToolError`]: a tool call failed.
    fn tool_error(
        &self,
        run: RunContext,
        failed: ToolCallFailed,
    ) -> impl Future<Output = Result<ToolErrorAnswer>> + Send {
        let _ = (run, failed);
        async { Ok(ToolErrorAnswer::Continue) }
    }

    /// [`Stage::OutputError`]: the structured output is invalid and the agent repairs.
    fn output_error(
        &self,
        run: RunContext,
        failed: OutputFailed,
    ) -> impl Future<Output = Result<OutputErrorAnswer>> + Send {
        let _ = (run, failed);
        async { Ok(OutputErrorAnswer::Continue) }
    }

    /// [`Stage::StepEnd`]: a step is over.
    fn step_end(
        &self,
        run: RunContext,
        ended: StepEnded,
    ) -> impl Future<Output = Result<StepEndAnswer>> + Send {
        let _ = (run, ended);
        async { Ok(StepEndAnswer::Continue) }
    }

    /// [`Stage::Event`]: an event is about to be appended to the run's log and shown.
    fn event(
        &self,
        run: RunContext,
        event: Event,
    ) -> impl Future<Output = Result<EventVerdict>> + Send {
        let _ = (run, event);
        async { Ok(EventVerdict::Keep) }
    }

    /// [`Stage::Event`], at the end of a part of which events were held: what becomes of them?
    /// The answer is shown in place of them, in order.
    fn release(
        &self,
        run: RunContext,
        held: Vec<Event>,
    ) -> impl Future<Output = Result<Vec<Event>>> + Send {
        let _ = run;
        async { Ok(held) }
    }

    /// [`Stage::BeforeSave`]: the conversation is about to be stored. `Some` replaces its items.
    fn before_save(
        &self,
        run: RunContext,
        items: Vec<Item>,
    ) -> impl Future<Output = Result<Option<Vec<Item>>>> + Send {
        let _ = (run, items);
        async { Ok(None) }
    }

    /// [`Stage::Response`]: a response is about to be sent. `Some` replaces its head.
    fn response(
        &self,
        head: ResponseHead,
    ) -> impl Future<Output = Result<Option<ResponseHead>>> + Send {
        let _ = head;
        async { Ok(None) }
    }

    /// [`Stage::Completed`]: the last byte of a response was sent, or its client has gone.
    fn completed(&self, completed: Completed) -> impl Future<Output = Result<()>> + Send {
        let _ = completed;
        async { Ok(()) }
    }

    /// [`Stage::Observe`]: something happened. Never waited for; in order.
    fn observe(&self, observation: Observation) -> impl Future<Output = Result<()>> + Send {
        let _ = observation;
        async { Ok(()) }
    }
}

/// The name and the stages of a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HookInfo {
    /// The name in logs and errors.
    pub name: String,
    /// The stages it has.
    pub stages: Vec<Stage>,
    /// For [`Stage::Event`]: the wanted types, such as `TEXT_MESSAGE_CONTENT`;
    /// empty means all.
    #[serde(default)]
    pub events: Vec<String>,
    /// For [`Stage::Observe`]: what it wants to be told of: event types, phases such as
    /// `model.before`, and `request`; empty means everything.
    #[serde(default)]
    pub observes: Vec<String>,
    /// Whether its guard authenticates: it may answer `Authenticated` or `NoCredentials`.
    #[serde(default)]
    pub authenticates: bool,
    /// Whether its guard answers at once, through [`Hook::guard_now`].
    #[serde(default)]
    pub at_once: bool,
    /// What the host does when the hook itself fails.
    pub on_error: OnError,
}

/// Where a hook is called, in the order of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// May this request go on?
    Guard,
    /// A step is about to begin.
    Step,
    /// The model is about to be asked.
    BeforeModel,
    /// The model has answered.
    AfterModel,
    /// A tool is about to be called.
    BeforeTool,
    /// A tool call is over.
    AfterTool,
    /// A tool call failed.
    ToolError,
    /// The structured output is invalid.
    OutputError,
    /// A step is over.
    StepEnd,
    /// An event is about to be appended and shown.
    Event,
    /// A conversation is about to be stored.
    BeforeSave,
    /// A response is about to be sent.
    Response,
    /// A response was sent.
    Completed,
    /// Something happened; nobody waits.
    Observe,
}

/// What the host does when a hook itself fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The request or run fails with a masked `INTERNAL`: for guards and guardrails.
    Deny,
    /// It goes on as if the hook had changed nothing: for observers and helpers.
    Skip,
}

/// What a guard says.
#[derive(Debug)]
pub enum GuardVerdict {
    /// The request may go on.
    Pass,
    /// It may not; this is the answer.
    Respond(Response),
    /// It may go on, and this is who asks.
    Authenticated(Principal),
    /// There is no credential of the kind this guard knows.
    NoCredentials,
}

/// What a step begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StepInput {
    /// From 0.
    pub step_index: u32,
    /// The step limit, where there is one.
    #[serde(default)]
    pub max_steps: Option<u32>,
    /// The conversation so far, without instructions.
    pub messages: Vec<Item>,
}

/// What a hook changes of a step; `None` leaves things as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct StepChange {
    /// The conversation, from here on.
    pub messages: Option<Vec<Item>>,
    /// The instructions, for this step.
    pub instructions: Option<String>,
    /// Whether and which tools must be called, in this step.
    pub tool_choice: Option<ToolChoice>,
    /// The tools that may be called, in this step.
    pub active_tools: Option<Vec<String>>,
}

/// A tool call that is about to happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCall {
    /// The tool.
    pub tool_name: String,
    /// The call.
    pub tool_call_id: String,
    /// The parsed arguments.
    pub arguments: Value,
}

/// What becomes of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeforeTool {
    /// It goes on.
    Continue,
    /// It goes on with these arguments.
    Replace(Value),
    /// It is not made; this is its result. No validation, no approval.
    Skip(Value),
}

/// A tool call that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCallEnded {
    /// The tool.
    pub tool_name: String,
    /// The call.
    pub tool_call_id: String,
    /// The arguments, `null` where they were no JSON.
    pub arguments: Value,
    /// The result, or a `tool_error` object.
    pub result: Value,
    /// What it failed with.
    #[serde(default)]
    pub error: Option<String>,
}

/// A tool call that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCallFailed {
    /// The tool.
    pub tool_name: String,
    /// The call.
    pub tool_call_id: String,
    /// The arguments as the model wrote them.
    pub raw_arguments: String,
    /// At what it failed.
    pub error_kind: ToolErrorKind,
    /// With what it failed.
    pub message: String,
    /// How often this call was tried, from 1.
    pub attempt: u32,
}

/// What becomes of a failed tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolErrorAnswer {
    /// The next hook decides, in the end the tool's error mode.
    Continue,
    /// The model reads this message.
    SendToModel(String),
    /// This is the result, and no error.
    Result(Value),
    /// The call is made again with these arguments; at most twice.
    Repair(Value),
    /// The call is made again as it was; at most three times.
    Retry,
    /// The run fails.
    Throw,
}

/// Structured output that is invalid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OutputFailed {
    /// `missing_text`, `parse` or `validation`.
    pub error_kind: String,
    /// What the model said.
    pub text: String,
    /// What is wrong with it.
    pub issues: Vec<Issue>,
    /// How often it was tried, from 1.
    pub attempt: u32,
}

/// What becomes of invalid structured output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputErrorAnswer {
    /// The next hook decides, in the end one more model call with the errors.
    Continue,
    /// This text is parsed instead.
    RepairText(String),
    /// This value is validated instead.
    RepairValue(Value),
    /// The run fails.
    Throw,
}

/// A step that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StepEnded {
    /// From 0.
    pub step_index: u32,
    /// How many tools the model called.
    pub tool_call_count: u32,
    /// What the model answered.
    pub response: ModelResponse,
}

/// Whether the run goes on after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEndAnswer {
    /// As it would.
    #[default]
    Continue,
    /// It ends well, with this step's answer.
    Stop,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would cost each replacement an allocation"
)]
pub enum EventVerdict {
    /// It is shown as it is.
    Keep,
    /// This one is shown instead.
    Replace(Event),
    /// It is not shown and takes no number.
    Drop,
    /// It waits until its part (a text, a reasoning, a tool call) ends; then
    /// [`Hook::release`] decides.
    Hold,
    /// The run is aborted, for this reason.
    Abort(String),
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResponseHead {
    /// The request.
    pub request_id: String,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The headers that are text, in order.
    pub headers: Vec<(String, String)>,
}

/// A response that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Completed {
    /// The request.
    pub request_id: String,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The agent it named.
    #[serde(default)]
    pub agent: Option<String>,
    /// Who asked.
    #[serde(default)]
    pub principal: Option<Principal>,
    /// The client's address.
    #[serde(default)]
    pub client_ip: Option<IpAddr>,
    /// The status.
    pub status: u16,
    /// The bytes of the body that were sent.
    pub bytes: u64,
    /// From the first byte of the request to the last of the response.
    pub duration_ms: u64,
    /// What the run cost, where there was one.
    #[serde(default)]
    pub usage: Option<Usage>,
}

/// What an observer is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Observation {
    /// A request was let in.
    Request(ObservedRequest),
    /// An event was appended to a run's log.
    Event {
        /// The run.
        run: RunContext,
        /// The event.
        event: Event,
    },
    /// Something in a run that is no event: `step.start`, `model.before`, `model.after`,
    /// `tool.before`, `tool.after`, `save.before`.
    Phase(ObservedPhase),
}

/// A request that was let in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObservedRequest {
    /// The request.
    pub request_id: String,
    /// What it wants of the host.
    pub kind: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The agent it names.
    #[serde(default)]
    pub agent: Option<String>,
    /// Who asks.
    #[serde(default)]
    pub principal: Option<Principal>,
    /// The client's address.
    #[serde(default)]
    pub client_ip: Option<IpAddr>,
    /// The headers that are text; the host has redacted credentials.
    pub headers: Vec<(String, String)>,
    /// The parsed body of a native route.
    #[serde(default)]
    pub body: Option<Value>,
}

/// Something in a run that is no event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObservedPhase {
    /// Which: `step.start`, `model.before`, `model.after`, `tool.before`, `tool.after`,
    /// `save.before`.
    pub phase: String,
    /// The run.
    pub run: RunInfo,
    /// What is known, by phase.
    pub data: Value,
}

// === impl HookInfo ===

impl HookInfo {
    /// A hook without stages. It is skipped when it fails, until it guards or says otherwise.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            stages: Vec::new(),
            events: Vec::new(),
            observes: Vec::new(),
            authenticates: false,
            at_once: false,
            on_error: OnError::Skip,
        }
    }

    /// Adds a stage. A guard denies when it fails, unless [`on_error`](Self::on_error) is called
    /// after this.
    #[must_use]
    pub fn on(mut self, stage: Stage) -> Self {
        if stage == Stage::Guard {
            self.on_error = OnError::Deny;
        }
        self.stages.push(stage);
        self
    }

    /// Its guard answers at once, through [`Hook::guard_now`].
    #[must_use]
    pub fn answers_at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Its guard tells who is asking.
    #[must_use]
    pub fn authenticates(mut self) -> Self {
        self.authenticates = true;
        self
    }

    /// Wants only events of these types.
    #[must_use]
    pub fn events(mut self, kinds: &[&str]) -> Self {
        self.events
            .extend(kinds.iter().map(|&kind| kind.to_owned()));
        self
    }

    /// Wants to be told of these only: event types, phases such as `model.before`, and `request`.
    /// What nobody wants costs nothing.
    #[must_use]
    pub fn observes(mut self, what: &[&str]) -> Self {
        self.observes
            .extend(what.iter().map(|&what| what.to_owned()));
        self
    }

    /// What the host does when the hook itself fails.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }
}

// === impl StepChange ===

impl StepChange {
    /// Other instructions, for this step.
    #[must_use]
    pub fn with_instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Another conversation, from here on.
    #[must_use]
    pub fn with_messages(mut self, messages: Vec<Item>) -> Self {
        self.messages = Some(messages);
        self
    }

    /// Whether and which tools must be called, in this step.
    #[must_use]
    pub fn with_tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// The tools that may be called, in this step.
    #[must_use]
    pub fn with_active_tools(mut self, tools: Vec<String>) -> Self {
        self.active_tools = Some(tools);
        self
    }
}

// === impl Stage ===

impl Stage {
    /// The name in configuration, logs and on the boundary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Step => "step",
            Self::BeforeModel => "before_model",
            Self::AfterModel => "after_model",
            Self::BeforeTool => "before_tool",
            Self::AfterTool => "after_tool",
            Self::ToolError => "tool_error",
            Self::OutputError => "output_error",
            Self::StepEnd => "step_end",
            Self::Event => "event",
            Self::BeforeSave => "before_save",
            Self::Response => "response",
            Self::Completed => "completed",
            Self::Observe => "observe",
        }
    }
}

// === impl GuardVerdict ===

impl GuardVerdict {
    /// A refusal with a JSON body `{"error", "message"}`.
    pub fn refuse(status: u16, error: &str, message: &str) -> Result<Self, Error> {
        let body = serde_json::json!({ "error": error, "message": message });
        Ok(Self::Respond(Response::json(&body)?.with_status(status)))
    }
}

// === what the host tells: made by hand in tests ===

impl StepInput {
    /// The first step of this conversation.
    pub fn new(messages: Vec<Item>) -> Self {
        Self {
            step_index: 0,
            max_steps: None,
            messages,
        }
    }
}

impl ToolCall {
    /// A call of this tool.
    pub fn new(tool_name: impl Into<String>, arguments: Value) -> Self {
        Self {
            tool_name: tool_name.into(),
            tool_call_id: "call_1".to_owned(),
            arguments,
        }
    }
}

impl ToolCallEnded {
    /// A call of this tool that is over and has this result.
    pub fn new(tool_name: impl Into<String>, arguments: Value, result: Value) -> Self {
        Self {
            tool_name: tool_name.into(),
            tool_call_id: "call_1".to_owned(),
            arguments,
            result,
            error: None,
        }
    }
}

impl ToolCallFailed {
    /// A call of this tool whose body failed with this message, at the first try.
    pub fn new(
        tool_name: impl Into<String>,
        raw_arguments: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            tool_name: tool_name.into(),
            tool_call_id: "call_1".to_owned(),
            raw_arguments: raw_arguments.into(),
            error_kind: ToolErrorKind::Execution,
            message: message.into(),
            attempt: 1,
        }
    }
}

impl OutputFailed {
    /// A text that does not fit its schema, at the first try.
    pub fn new(text: impl Into<String>, issues: Vec<Issue>) -> Self {
        Self {
            error_kind: "validation".to_owned(),
            text: text.into(),
            issues,
            attempt: 1,
        }
    }
}

impl StepEnded {
    /// The first step, in which the model called no tool.
    pub fn new(response: ModelResponse) -> Self {
        Self {
            step_index: 0,
            tool_call_count: 0,
            response,
        }
    }
}

impl ResponseHead {
    /// The head of a response to `GET /`.
    pub fn new(status: u16) -> Self {
        Self {
            request_id: "req_1".to_owned(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            status,
            headers: Vec::new(),
        }
    }
}

impl Completed {
    /// An empty response to `GET /` that took no time.
    pub fn new(status: u16) -> Self {
        Self {
            request_id: "req_1".to_owned(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            agent: None,
            principal: None,
            client_ip: None,
            status,
            bytes: 0,
            duration_ms: 0,
            usage: None,
        }
    }
}

impl ObservedPhase {
    /// Something in a run that is no event.
    pub fn new(phase: impl Into<String>, run: RunInfo, data: Value) -> Self {
        Self {
            phase: phase.into(),
            run,
            data,
        }
    }
}

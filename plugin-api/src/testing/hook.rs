//! A hook under test, stage by stage.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::FakeRequest;
use super::run::FakeRun;
use crate::error::{Error, Result};
use crate::event::{Event, RunResult};
use crate::ffi::{DynHook, convert};
use crate::hook::{
    BeforeTool, Completed, EventVerdict, GuardVerdict, HookInfo, Observation, OutputErrorAnswer,
    OutputFailed, ResponseHead, RunInput, Stage, StepChange, StepEndAnswer, StepEnded, StepInput,
    ToolCall, ToolCallEnded, ToolCallFailed, ToolErrorAnswer,
};
use crate::job::JobEvent;
use crate::message::{Item, ModelResponse};
use crate::model::ModelRequest;

/// A hook under test. Each method is one stage, called in one and the same run.
///
/// A stage that the hook's info does not name panics: the server would never call it.
pub struct LoadedHook {
    hook: Arc<dyn DynHook>,
    info: HookInfo,
    run: FakeRun,
}

// === impl LoadedHook ===

impl LoadedHook {
    pub(super) fn new(hook: Arc<dyn DynHook>, run: FakeRun) -> Self {
        let info = hook.info();
        Self { hook, info, run }
    }

    /// The info of the hook.
    pub fn info(&self) -> &HookInfo {
        &self.info
    }

    /// What the hook itself emitted in its run.
    pub fn emitted(&self) -> Vec<Event> {
        self.run.events()
    }

    /// [`Stage::Guard`]; the one that answers at once, if that is what the hook has.
    pub async fn guard(&self, request: FakeRequest) -> Result<GuardVerdict> {
        self.needs(Stage::Guard);
        let request = request.request();
        let said = if self.info.at_once {
            self.hook.guard_now(&request)?
        } else {
            Arc::clone(&self.hook).guard(request).await?
        };
        match said {
            GuardVerdict::Authenticated(_) | GuardVerdict::NoCredentials
                if !self.info.authenticates =>
            {
                Err(Error::internal(
                    "a guard that does not authenticate spoke of credentials",
                ))
            }
            said => Ok(said),
        }
    }

    /// [`Stage::BeforeRun`].
    pub async fn before_run(&self, input: RunInput) -> Result<Option<RunInput>> {
        self.in_run(Stage::BeforeRun, &input).await
    }

    /// [`Stage::Step`].
    pub async fn step(&self, step: StepInput) -> Result<StepChange> {
        self.in_run(Stage::Step, &step).await
    }

    /// [`Stage::BeforeModel`].
    pub async fn before_model(&self, request: ModelRequest) -> Result<Option<ModelRequest>> {
        self.in_run(Stage::BeforeModel, &request).await
    }

    /// [`Stage::AfterModel`].
    pub async fn after_model(&self, response: ModelResponse) -> Result<Option<ModelResponse>> {
        self.in_run(Stage::AfterModel, &response).await
    }

    /// [`Stage::BeforeTool`].
    pub async fn before_tool(&self, call: ToolCall) -> Result<BeforeTool> {
        self.in_run(Stage::BeforeTool, &call).await
    }

    /// [`Stage::AfterTool`].
    pub async fn after_tool(&self, ended: ToolCallEnded) -> Result<Option<Value>> {
        self.in_run(Stage::AfterTool, &ended).await
    }

    /// [`Stage::ToolError`].
    pub async fn tool_error(&self, failed: ToolCallFailed) -> Result<ToolErrorAnswer> {
        self.in_run(Stage::ToolError, &failed).await
    }

    /// [`Stage::OutputError`].
    pub async fn output_error(&self, failed: OutputFailed) -> Result<OutputErrorAnswer> {
        self.in_run(Stage::OutputError, &failed).await
    }

    /// [`Stage::StepEnd`].
    pub async fn step_end(&self, ended: StepEnded) -> Result<StepEndAnswer> {
        self.in_run(Stage::StepEnd, &ended).await
    }

    /// [`Stage::Event`]. An event of a type that the hook does not want is kept unasked.
    pub async fn event(&self, event: Event) -> Result<EventVerdict> {
        self.needs(Stage::Event);
        if !is_among(&self.info.events, &event) {
            return Ok(EventVerdict::Keep);
        }
        let hook = Arc::clone(&self.hook);
        let verdict = hook.event(self.run.context(), event.clone()).await?;
        verdict.on(&event)
    }

    /// [`Stage::Event`], at the end of a part of which events were held.
    pub async fn release(&self, held: Vec<Event>) -> Result<Vec<Event>> {
        self.needs(Stage::Event);
        let released: Vec<Event> = self.call("release", true, &held).await?;
        let released = released.into_iter();
        released.map(|event| event.in_place_of(&held)).collect()
    }

    /// [`Stage::AfterRun`].
    pub async fn after_run(&self, result: RunResult) -> Result<Option<RunResult>> {
        self.in_run(Stage::AfterRun, &result).await
    }

    /// [`Stage::BeforeSave`].
    pub async fn before_save(&self, items: Vec<Item>) -> Result<Option<Vec<Item>>> {
        self.in_run(Stage::BeforeSave, &items).await
    }

    /// [`Stage::Response`].
    pub async fn response(&self, head: ResponseHead) -> Result<Option<ResponseHead>> {
        self.needs(Stage::Response);
        self.call(Stage::Response.as_str(), false, &head).await
    }

    /// [`Stage::Completed`].
    pub async fn completed(&self, completed: Completed) -> Result<()> {
        self.needs(Stage::Completed);
        self.call(Stage::Completed.as_str(), false, &completed)
            .await
    }

    /// [`Stage::OnJob`].
    pub async fn on_job(&self, event: JobEvent) -> Result<()> {
        self.needs(Stage::OnJob);
        self.call(Stage::OnJob.as_str(), false, &event).await
    }

    /// [`Stage::Observe`].
    pub async fn observe(&self, observation: Observation) -> Result<()> {
        self.needs(Stage::Observe);
        Arc::clone(&self.hook).observe(observation).await
    }

    /// [`Stage::Observe`], of an event. One of a type that the hook does not want is not told.
    pub async fn observe_event(&self, event: Event) -> Result<()> {
        if !is_among(&self.info.observes, &event) {
            return Ok(());
        }
        let run = self.run.context();
        self.observe(Observation::Event { run, event }).await
    }

    fn needs(&self, stage: Stage) {
        assert!(
            self.info.stages.contains(&stage),
            "the hook '{}' does not name the stage '{}': the server would never call it",
            self.info.name,
            stage.as_str(),
        );
    }

    async fn in_run<A: DeserializeOwned>(
        &self,
        stage: Stage,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<A> {
        self.needs(stage);
        self.call(stage.as_str(), true, payload).await
    }

    // As JSON, as the stage is called over the boundary.
    async fn call<A: DeserializeOwned>(
        &self,
        stage: &str,
        in_run: bool,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<A> {
        let run = in_run.then(|| self.run.context());
        let payload = convert::to_json(payload)?;
        let hook = Arc::clone(&self.hook);
        let answer = hook.stage(stage.to_owned(), run, payload).await?;
        convert::from_json(&answer)
    }
}

/// Whether an event is of these types; none stand for all.
fn is_among(wanted: &[String], event: &Event) -> bool {
    wanted.is_empty() || wanted.iter().any(|kind| kind == event.kind())
}

impl fmt::Debug for LoadedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedHook")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

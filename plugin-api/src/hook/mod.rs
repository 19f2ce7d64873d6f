//! Hooks: plugin code at the fixed stages of a request or a run.

mod answer;
mod info;
mod observed;
mod told;

use std::future::Future;

use serde_json::Value;

pub use self::answer::{
    BeforeTool, EventVerdict, GuardVerdict, OutputErrorAnswer, StepChange, StepEndAnswer,
    ToolErrorAnswer,
};
pub use self::info::{HookInfo, OnError, Stage};
pub use self::observed::{Observation, ObservedPhase, ObservedRequest};
pub use self::told::{
    Completed, OutputFailed, ResponseHead, RunInput, StepEnded, StepInput, ToolCall, ToolCallEnded,
    ToolCallFailed,
};
use crate::error::{Error, Result};
use crate::event::{Event, RunResult};
use crate::job::JobEvent;
use crate::message::{Item, ModelResponse};
use crate::model::ModelRequest;
use crate::request::Request;
use crate::run::RunContext;

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
    ///
    /// # Errors
    /// A hook that says it guards must say how, here or in [`guard`](Self::guard): one that does not
    /// fails, so that it lets nobody in.
    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        let _ = request;
        Err(Error::internal(
            "the hook says that it guards, and has no `guard`, or no `guard_now` to answer at once",
        ))
    }

    /// [`Stage::Guard`]: may this request go on? Called after the server's secret was checked and
    /// before the body is validated or an agent is looked up.
    fn guard(&self, request: Request) -> impl Future<Output = Result<GuardVerdict>> + Send {
        let verdict = self.guard_now(&request);
        async move { verdict }
    }

    /// [`Stage::BeforeRun`]: a run is about to begin. `Some` replaces what was sent, before anybody
    /// is shown it, before it is stored, and before the agent reads it.
    fn before_run(
        &self,
        run: RunContext,
        input: RunInput,
    ) -> impl Future<Output = Result<Option<RunInput>>> + Send {
        let _ = (run, input);
        async { Ok(None) }
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
    /// The answer is shown in place of them, in order. Events of other texts, reasonings and tool
    /// calls that are not over stay held.
    fn release(
        &self,
        run: RunContext,
        held: Vec<Event>,
    ) -> impl Future<Output = Result<Vec<Event>>> + Send {
        let _ = run;
        async { Ok(held) }
    }

    /// [`Stage::AfterRun`]: a run went well. `Some` replaces what it came to: what `RUN_FINISHED`
    /// shows and a JSON run answers, and, where a library drives the run, what is stored.
    fn after_run(
        &self,
        run: RunContext,
        result: RunResult,
    ) -> impl Future<Output = Result<Option<RunResult>>> + Send {
        let _ = (run, result);
        async { Ok(None) }
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

    /// [`Stage::Completed`]: the last byte of a response was sent, or its client has gone after the
    /// head was made. Not called for a client that goes earlier: there is no response then.
    fn completed(&self, completed: Completed) -> impl Future<Output = Result<()>> + Send {
        let _ = completed;
        async { Ok(()) }
    }

    /// [`Stage::Observe`]: something happened. Never waited for; in order.
    fn observe(&self, observation: Observation) -> impl Future<Output = Result<()>> + Send {
        let _ = observation;
        async { Ok(()) }
    }

    /// [`Stage::OnJob`]: a job ended, or an attempt began, of any plugin and of the server's own
    /// route. Never waited for. An end is told at least once, after a restart too.
    fn on_job(&self, event: JobEvent) -> impl Future<Output = Result<()>> + Send {
        let _ = event;
        async { Ok(()) }
    }
}

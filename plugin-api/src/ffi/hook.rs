//! Hooks, from the author's trait to the one that crosses.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::abi::stable::{RBox, ROption, RStr, RString, TD_Opaque};
use super::abi::{
    self, AbiBytes, AbiFuture, AbiResult, Event_NE, EventAnswer_NE, HookObject, Observation_NE,
    RequestObject, RunObject, Verdict_NE,
};
use super::convert;
use super::guard::{self, Safe};
use crate::backend::BoxFuture;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::hook::{
    EventVerdict, GuardVerdict, Hook, HookInfo, Observation, ObservedPhase, ObservedRequest,
};
use crate::host::Host;
use crate::request::Request;
use crate::run::RunContext;

/// [`Hook`], as an object; the rarer stages by name.
pub(crate) trait DynHook: Send + Sync {
    fn info(&self) -> HookInfo;
    fn guard_now(&self, request: &Request) -> Result<GuardVerdict>;
    fn guard(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<GuardVerdict>>;
    fn event(
        self: Arc<Self>,
        run: RunContext,
        event: Event,
    ) -> BoxFuture<'static, Result<EventVerdict>>;
    fn observe(self: Arc<Self>, observation: Observation) -> BoxFuture<'static, Result<()>>;
    fn stage(
        self: Arc<Self>,
        stage: String,
        run: Option<RunContext>,
        payload: AbiBytes,
    ) -> BoxFuture<'static, Result<AbiBytes>>;
}

impl<H: Hook> DynHook for H {
    fn info(&self) -> HookInfo {
        Hook::info(self)
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        Hook::guard_now(self, request)
    }

    fn guard(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<GuardVerdict>> {
        Box::pin(async move { Hook::guard(&*self, request).await })
    }

    fn event(
        self: Arc<Self>,
        run: RunContext,
        event: Event,
    ) -> BoxFuture<'static, Result<EventVerdict>> {
        Box::pin(async move { Hook::event(&*self, run, event).await })
    }

    fn observe(self: Arc<Self>, observation: Observation) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { Hook::observe(&*self, observation).await })
    }

    fn stage(
        self: Arc<Self>,
        stage: String,
        run: Option<RunContext>,
        payload: AbiBytes,
    ) -> BoxFuture<'static, Result<AbiBytes>> {
        Box::pin(async move {
            let hook = &*self;
            match stage.as_str() {
                "before_run" => answer(hook.before_run(needed(run)?, read(&payload)?).await),
                "step" => answer(hook.step(needed(run)?, read(&payload)?).await),
                "before_model" => answer(hook.before_model(needed(run)?, read(&payload)?).await),
                "after_model" => answer(hook.after_model(needed(run)?, read(&payload)?).await),
                "before_tool" => answer(hook.before_tool(needed(run)?, read(&payload)?).await),
                "after_tool" => answer(hook.after_tool(needed(run)?, read(&payload)?).await),
                "tool_error" => answer(hook.tool_error(needed(run)?, read(&payload)?).await),
                "output_error" => answer(hook.output_error(needed(run)?, read(&payload)?).await),
                "step_end" => answer(hook.step_end(needed(run)?, read(&payload)?).await),
                "release" => answer(hook.release(needed(run)?, read(&payload)?).await),
                "after_run" => answer(hook.after_run(needed(run)?, read(&payload)?).await),
                "before_save" => answer(hook.before_save(needed(run)?, read(&payload)?).await),
                "response" => answer(hook.response(read(&payload)?).await),
                "completed" => answer(hook.completed(read(&payload)?).await),
                "on_job" => answer(hook.on_job(read(&payload)?).await),
                other => Err(Error::unavailable(format!(
                    "this plugin's SDK does not know the stage '{other}'"
                ))),
            }
        })
    }
}

fn needed(run: Option<RunContext>) -> Result<RunContext> {
    run.ok_or_else(|| Error::internal("this stage needs a run"))
}

fn read<T: DeserializeOwned>(payload: &AbiBytes) -> Result<T> {
    convert::from_json(payload)
}

fn answer(result: Result<impl Serialize>) -> Result<AbiBytes> {
    convert::to_json(&result?)
}

struct Adapter {
    hook: Safe<Arc<dyn DynHook>>,
    host: Host,
}

pub(super) fn to_abi(hook: Arc<dyn DynHook>, host: Host) -> HookObject {
    abi::Hook_TO::from_value(
        Adapter {
            hook: Safe::new(hook),
            host,
        },
        TD_Opaque,
    )
}

impl abi::Hook for Adapter {
    fn info(&self) -> RString {
        super::plugin::info_text(|| self.hook.info())
    }

    fn guard_now(&self, request: &RequestObject) -> ROption<RBox<AbiResult<Verdict_NE>>> {
        let said = guard::guarded(|| {
            let request = convert::borrowed_request(request);
            match self.hook.guard_now(&request) {
                Ok(GuardVerdict::Pass) => ROption::RNone,
                said => said_of(said.and_then(convert::verdict_to_abi)),
            }
        });
        said.unwrap_or_else(|panic| said_of(Err(panic)))
    }

    fn guard(&self, request: RequestObject) -> AbiFuture<AbiResult<Verdict_NE>> {
        let hook = Arc::clone(&self.hook);
        let verdict = Box::pin(async move { hook.guard(convert::request_from_abi(request)).await });
        guard::future(verdict, convert::verdict_to_abi)
    }

    fn event(&self, run: RunObject, event: Event_NE) -> AbiFuture<AbiResult<EventAnswer_NE>> {
        let (hook, host) = (Arc::clone(&self.hook), self.host.clone());
        let verdict = Box::pin(async move {
            let run = convert::run_from_abi(run, host);
            hook.event(run, convert::event_from_abi(event)?).await
        });
        guard::future(verdict, convert::event_verdict_to_abi)
    }

    fn observe(&self, observation: Observation_NE) -> AbiFuture<AbiResult<()>> {
        let (hook, host) = (Arc::clone(&self.hook), self.host.clone());
        let observed = Box::pin(async move {
            match observation_from_abi(observation, host)? {
                Some(observation) => hook.observe(observation).await,
                None => Ok(()),
            }
        });
        guard::future(observed, Ok)
    }

    fn stage(
        &self,
        stage: RStr<'_>,
        run: ROption<RunObject>,
        payload: AbiBytes,
    ) -> AbiFuture<AbiResult<AbiBytes>> {
        let (hook, host) = (Arc::clone(&self.hook), self.host.clone());
        let stage = stage.as_str().to_owned();
        let answered = Box::pin(async move {
            let run = match run {
                ROption::RSome(run) => Some(convert::run_from_abi(run, host)),
                ROption::RNone => None,
            };
            hook.stage(stage, run, payload).await
        });
        guard::future(answered, Ok)
    }
}

/// What a guard says at once, where it is more than letting the request pass.
fn said_of(verdict: Result<Verdict_NE>) -> ROption<RBox<AbiResult<Verdict_NE>>> {
    ROption::RSome(RBox::new(verdict.map_err(convert::error_to_abi).into()))
}

/// What crosses as JSON.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(tag = "observed", rename_all = "snake_case")]
pub enum ObservationJson {
    Request(ObservedRequest),
    Phase(ObservedPhase),
}

/// `None` for an observation newer than this side: an observer may miss what it cannot know.
fn observation_from_abi(observation: Observation_NE, host: Host) -> Result<Option<Observation>> {
    let Ok(observation) = observation.into_enum() else {
        return Ok(None);
    };
    Ok(match observation {
        abi::Observation::Event { run, event } => Some(Observation::Event {
            run: convert::run_from_abi(run, host),
            event: convert::event_from_abi(RBox::into_inner(event))?,
        }),
        abi::Observation::Json { json } => {
            serde_json::from_str(&json)
                .ok()
                .map(|observed| match observed {
                    ObservationJson::Request(request) => Observation::Request(request),
                    ObservationJson::Phase(phase) => Observation::Phase(phase),
                })
        }
    })
}

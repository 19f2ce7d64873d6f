//! Hooks of libraries.

use std::sync::Arc;

use bytes::Bytes;
use mortise_plugin_abi::stable::{RBox, ROption, RStr};
use mortise_plugin_abi::{HookObject, Observation, Observation_NE};
use mortise_plugin_api::ffi::convert;
use mortise_plugin_api::{
    Event, EventVerdict, GuardVerdict, HookInfo, ObservedPhase, Result, Stage,
};

use super::kept;
use crate::config::nearest;
use crate::plugin::capability::{BoxFuture, HookCapability, Observed, RunServices};
use crate::plugin::error::LoadError;
use crate::plugin::instance::Instance;
use crate::plugin::request::RequestView;

pub(in crate::plugin) struct HookAdapter {
    info: HookInfo,
    object: HookObject,
    instance: Arc<Instance>,
}

// === impl HookAdapter ===

impl HookAdapter {
    pub(in crate::plugin) fn new(
        object: HookObject,
        instance: Arc<Instance>,
    ) -> Result<Self, LoadError> {
        let info = super::info(instance.name(), "a hook", &object.info())?;
        warn_of_mistakes(instance.name(), &info);
        Ok(Self {
            info,
            object,
            instance,
        })
    }

    fn observation(&self, observed: Observed) -> Result<Observation_NE> {
        Ok(Observation_NE::new(match observed {
            Observed::Event { run, event } => Observation::Event {
                run: self.instance.crossed(run),
                event: RBox::new(convert::event_to_abi(Event::clone(&event))?),
            },
            Observed::Json(json) => Observation::Json {
                json: (&*json).into(),
            },
        }))
    }
}

impl HookCapability for HookAdapter {
    fn info(&self) -> &HookInfo {
        &self.info
    }

    fn guard_now(&self, request: &Arc<RequestView>) -> Result<Option<Box<GuardVerdict>>> {
        self.instance.call_now("hook.guard", || {
            match self.object.guard_now(request.crossed()) {
                ROption::RNone => Ok(None),
                ROption::RSome(said) => {
                    let said = convert::result_from_abi(RBox::into_inner(said))?;
                    kept::verdict(&self.instance, said).map(|said| Some(Box::new(said)))
                }
            }
        })
    }

    fn guard(&self, request: &Arc<RequestView>) -> BoxFuture<'static, Result<GuardVerdict>> {
        self.instance.call(
            "hook.guard",
            || Ok(self.object.guard(request.shared())),
            kept::verdict,
        )
    }

    fn event(
        &self,
        run: Arc<dyn RunServices>,
        event: Event,
    ) -> BoxFuture<'static, Result<EventVerdict>> {
        self.instance.call(
            "hook.event",
            || {
                let event = convert::event_to_abi(event)?;
                Ok(self.object.event(self.instance.crossed(run), event))
            },
            |_, answer| convert::event_verdict_from_abi(answer),
        )
    }

    fn observe(&self, observed: Observed) -> BoxFuture<'static, Result<()>> {
        self.instance.call(
            "hook.observe",
            || Ok(self.object.observe(self.observation(observed)?)),
            |_, ()| Ok(()),
        )
    }

    fn stage(
        &self,
        stage: &'static str,
        run: Option<Arc<dyn RunServices>>,
        payload: Vec<u8>,
    ) -> BoxFuture<'static, Result<Bytes>> {
        self.instance.call(
            logged_name(stage),
            || {
                let run = run.map(|run| self.instance.crossed(run));
                let run: ROption<_> = run.into();
                Ok(self
                    .object
                    .stage(RStr::from_str(stage), run, payload.into()))
            },
            |_, answer| Ok(answer.into_bytes()),
        )
    }
}

/// Warns of what a hook would wait for in vain.
fn warn_of_mistakes(plugin: &str, hook: &HookInfo) {
    for (name, near) in misspelt(hook) {
        tracing::warn!(
            plugin,
            "the hook '{}' wants {name:?}, of which the server knows nothing; did you mean {near:?}?",
            hook.name
        );
    }
    for (list, stage) in filters_nothing(hook) {
        tracing::warn!(
            plugin,
            "the hook '{}' sets `{list}`, which filters nothing without the stage `{}`: observers \
             take what `observes` names, the stage `event` what `events` names",
            hook.name,
            stage.as_str()
        );
    }
}

/// The lists of a hook that are for a stage which it does not have.
fn filters_nothing(hook: &HookInfo) -> Vec<(&'static str, Stage)> {
    let lists = [
        ("events", Stage::Event, &hook.events),
        ("observes", Stage::Observe, &hook.observes),
    ];
    let idle = lists
        .into_iter()
        .filter(|(_, stage, names)| !names.is_empty() && !hook.stages.contains(stage));
    idle.map(|(list, stage, _)| (list, stage)).collect()
}

/// The names that are nearly one that the server knows. Any other may be an event of a plugin.
fn misspelt(hook: &HookInfo) -> Vec<(&str, &'static str)> {
    let told = [Event::KINDS, ObservedPhase::NAMES, &["request"]].concat();
    let filtered = hook.events.iter().map(|name| (name, Event::KINDS));
    let observed = hook.observes.iter().map(|name| (name, told.as_slice()));
    filtered
        .chain(observed)
        .filter(|(name, known)| !known.contains(&name.as_str()))
        .filter_map(|(name, known)| Some((name.as_str(), nearest(name, known)?)))
        .collect()
}

/// The name of a call in the log; the prefix tells hooks from other calls.
fn logged_name(stage: &'static str) -> &'static str {
    match stage {
        "before_run" => "hook.before_run",
        "step" => "hook.step",
        "before_model" => "hook.before_model",
        "after_model" => "hook.after_model",
        "before_tool" => "hook.before_tool",
        "after_tool" => "hook.after_tool",
        "tool_error" => "hook.tool_error",
        "output_error" => "hook.output_error",
        "step_end" => "hook.step_end",
        "release" => "hook.release",
        "after_run" => "hook.after_run",
        "before_save" => "hook.before_save",
        "response" => "hook.response",
        "completed" => "hook.completed",
        "on_job" => "hook.on_job",
        _ => "hook.stage",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_for_a_stage_that_the_hook_does_not_have_filters_nothing() {
        let hook = HookInfo::new("watcher").events(&["STEP_START"]);
        let observer = hook.clone().on(Stage::Observe).observes(&["request"]);
        assert_eq!(filters_nothing(&observer), [("events", Stage::Event)]);
        let filter = hook.on(Stage::Event).observes(&["request"]);
        assert_eq!(filters_nothing(&filter), [("observes", Stage::Observe)]);
        assert_eq!(filters_nothing(&filter.on(Stage::Observe)), []);
    }

    #[test]
    fn a_name_that_is_nearly_an_event_is_misspelt_and_another_is_a_plugins_own() {
        let hook = HookInfo::new("watcher")
            .events(&["TEXT_MESSAGE_END", "RUN_FINISH", "INVOICE_PAID"])
            .observes(&["request", "model.after", "models.after", "STEP_START"]);
        let expected = [
            ("RUN_FINISH", "RUN_FINISHED"),
            ("models.after", "model.after"),
        ];
        assert_eq!(misspelt(&hook), expected);
    }
}

//! The stages of a run.

use std::sync::Arc;

use mortise_plugin_api::{Error, Event, EventVerdict, Result, Stage};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Pipeline, outcome_of_failure, within};
use crate::plugin::capability::{OfferedHook, RunServices};

/// Events that hooks hold back until their part ends, by the hook's place.
#[derive(Default)]
pub(crate) struct Held(Vec<Vec<Event>>);

/// What the hooks made of an event.
pub(crate) enum Processed {
    /// These are shown, in this order.
    Show(Vec<Event>),
    /// The run is aborted, for this reason.
    Abort(String),
}

// === impl Pipeline ===

impl Pipeline {
    /// Asks each hook of a stage in turn about `subject`; `take` gets each answer and says whether
    /// to go on.
    pub(crate) async fn ask<Subject, Answer: DeserializeOwned>(
        &self,
        stage: Stage,
        run: &Arc<dyn RunServices>,
        subject: &mut Subject,
        input: impl Fn(&Subject) -> Result<Vec<u8>>,
        take: impl Fn(&mut Subject, Answer) -> bool,
    ) -> Result<()> {
        for hook in self.at(stage) {
            let called =
                hook.capability
                    .stage(stage.as_str(), Some(Arc::clone(run)), input(subject)?);
            let answer = within(self.timeout, called)
                .await
                .and_then(|answer| serde_json::from_slice::<Answer>(&answer).map_err(Error::from));
            match answer {
                Ok(answer) => {
                    if !take(subject, answer) {
                        break;
                    }
                }
                Err(error) => failed(hook, stage, &error)?,
            }
        }
        Ok(())
    }

    /// Lets each hook of a stage replace a value.
    pub(crate) async fn replace<T: Serialize + DeserializeOwned>(
        &self,
        stage: Stage,
        run: &Arc<dyn RunServices>,
        value: &mut T,
    ) -> Result<()> {
        let take = |value: &mut T, answer: Option<T>| {
            if let Some(changed) = answer {
                *value = changed;
            }
            true
        };
        self.ask(stage, run, value, |value| to_json(value), take)
            .await
    }

    /// Lets every hook that wants it see an event before it is shown.
    pub(crate) async fn process(
        &self,
        run: &Arc<dyn RunServices>,
        event: Event,
        held: &mut Held,
    ) -> Result<Processed> {
        let hooks = self.at(Stage::Event);
        held.0.resize_with(hooks.len(), Vec::new);
        let mut events = vec![event];
        for (hook, held) in hooks.iter().zip(&mut held.0) {
            let mut shown = Vec::with_capacity(events.len());
            for event in events {
                let ends_part = ends_part(&event);
                if ends_part && !held.is_empty() {
                    let due: Vec<_> = held.extract_if(.., |held| ends(&event, held)).collect();
                    if !due.is_empty() {
                        shown.append(&mut self.release(hook, run, due).await?);
                    }
                }
                if !wants(hook, &event) {
                    shown.push(event);
                    continue;
                }
                let asked = hook.capability.event(Arc::clone(run), event.clone());
                let verdict = within(self.timeout, asked).await;
                match verdict.and_then(|verdict| verdict.on(&event)) {
                    Ok(EventVerdict::Keep) => shown.push(event),
                    Ok(EventVerdict::Replace(other)) => shown.push(other),
                    // A client would wait for it for ever.
                    Ok(EventVerdict::Drop) if event.ends_run() => shown.push(event),
                    Ok(EventVerdict::Drop) => {}
                    // The end of a part releases what is held: it cannot be held itself.
                    Ok(EventVerdict::Hold) if ends_part => shown.push(event),
                    Ok(EventVerdict::Hold) => held.push(event),
                    Ok(EventVerdict::Abort(reason)) => return Ok(Processed::Abort(reason)),
                    Err(error) => {
                        failed(hook, Stage::Event, &error)?;
                        shown.push(event);
                    }
                }
            }
            events = shown;
        }
        Ok(Processed::Show(events))
    }

    async fn release(
        &self,
        hook: &Arc<OfferedHook>,
        run: &Arc<dyn RunServices>,
        held: Vec<Event>,
    ) -> Result<Vec<Event>> {
        let payload = to_json(&held)?;
        let called = hook
            .capability
            .stage("release", Some(Arc::clone(run)), payload);
        let released = within(self.timeout, called).await.and_then(|answer| {
            let events: Vec<Event> = serde_json::from_slice(&answer)?;
            let events = events.into_iter();
            events.map(|event| event.in_place_of(&held)).collect()
        });
        match released {
            Ok(released) => Ok(released),
            Err(error) => {
                failed(hook, Stage::Event, &error)?;
                Ok(held)
            }
        }
    }
}

/// A payload for a stage.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// A hook refused, which is its answer, or itself failed.
fn failed(hook: &OfferedHook, stage: Stage, error: &Error) -> Result<()> {
    if error.is_refusal() {
        let (instance, hook) = (&*hook.instance, &*hook.capability.info().name);
        tracing::debug!(instance, hook, stage = stage.as_str(), %error, "a hook refused");
        return Err(error.clone());
    }
    outcome_of_failure(hook, stage, error)
}

fn wants(hook: &OfferedHook, event: &Event) -> bool {
    let events = &hook.capability.info().events;
    events.is_empty() || events.iter().any(|kind| kind == event.kind())
}

/// Whether an event ends the part of one that is held, or everything.
fn ends(event: &Event, held: &Event) -> bool {
    match (part(event), part(held)) {
        (Some(ended), Some(own)) => ended == own,
        // What belongs to no part waits for whichever ends first.
        _ => true,
    }
}

/// The text, the reasoning or the call that an event belongs to.
fn part(event: &Event) -> Option<(u8, &str)> {
    Some(match event {
        Event::TextMessageStart { message_id, .. }
        | Event::TextMessageContent { message_id, .. }
        | Event::TextMessageEnd { message_id, .. } => (0, message_id),
        Event::ReasoningMessageStart { message_id, .. }
        | Event::ReasoningMessageContent { message_id, .. }
        | Event::ReasoningMessageEnd { message_id, .. } => (1, message_id),
        Event::ToolCallStart { call, .. }
        | Event::ToolCallArgs { call, .. }
        | Event::ToolCallEnd { call, .. } => (2, &call.tool_call_id),
        _ => return None,
    })
}

/// Whether an event ends a text, a reasoning, a tool call, or everything.
fn ends_part(event: &Event) -> bool {
    matches!(
        event,
        Event::TextMessageEnd { .. }
            | Event::ReasoningMessageEnd { .. }
            | Event::ToolCallEnd { .. }
            | Event::StepError { .. }
    ) || event.ends_run()
}

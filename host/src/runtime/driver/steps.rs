//! The loop of a declared agent: step after step, until there is a result.

use std::sync::Arc;

use mortise_plugin_api::{
    Error, Event, Item, ModelRequest, ModelResponse, Result, RunResult, Stage, StepChange,
    TerminationReason, ToolCallItem,
};
use serde_json::{Value, json};

use super::step_hooks::Repaired;
use super::{Driver, conversation, max_steps};
use crate::plugin::capability::RunServices;
use crate::runtime::access::Place;
use crate::runtime::agents::ToolEntry;
use crate::runtime::checkpoint::{Answered, Progress};
use crate::runtime::models::{self, ModelEntry};
use crate::runtime::step::{self, check_cancelled};
use crate::runtime::structured::Wanted;
use crate::runtime::{failure, tools};

/// How a step ended.
struct StepOutcome {
    response: ModelResponse,
    termination: Option<TerminationReason>,
}

// === impl Driver ===

impl Driver<'_> {
    /// Step after step until there is a result.
    pub(super) async fn loop_steps(
        &self,
        model: &ModelEntry,
        progress: &mut Progress,
    ) -> Result<RunResult> {
        // In a box: most runs want none.
        let wanted = Wanted::of(self.run)?.map(Box::new);
        if wanted.is_some() && !model.info().capabilities.structured_output {
            let model = model.info().name.as_str();
            let message = format!("Model '{model}' does not support structured output.");
            return Err(Error::new("NOT_IMPLEMENTED", message)
                .with_context("agentName", &*self.run.agent.name)
                .with_context("modelId", model));
        }
        loop {
            let index = progress.step;
            let stepped = match self.step(model, progress, wanted.as_deref()).await {
                Ok(stepped) => stepped,
                Err(error) if failure::is_parked(&error) => return Err(error),
                Err(error) => {
                    self.show_step_error(index, &error).await;
                    return Err(error);
                }
            };
            if stepped.termination.is_none() {
                continue;
            }
            let response = stepped.response;
            let Some(wanted) = &wanted else {
                return Ok(RunResult {
                    response,
                    ..RunResult::default()
                });
            };
            let repaired = match wanted.value_of(&response) {
                Ok(value) => Repaired::Value(value),
                Err(unfit) => Box::pin(self.repair(wanted, unfit, &mut progress.repairs)).await?,
            };
            match repaired {
                Repaired::Value(value) => {
                    return Ok(RunResult {
                        response,
                        structured: Some(value),
                        ..RunResult::default()
                    });
                }
                Repaired::AskAgain(prompt) => progress.conversation.push(prompt),
            }
        }
    }

    async fn step(
        &self,
        model: &ModelEntry,
        progress: &mut Progress,
        wanted: Option<&Wanted<'_>>,
    ) -> Result<StepOutcome> {
        let Self { engine, run } = self;
        check_cancelled(run)?;
        let index = progress.step;
        let place = Place {
            step: index,
            ..Place::default()
        };
        let access = engine.access(run, place);
        let Answered { response, calls } = match progress.pending.take() {
            Some(mut answered) => {
                // After a crash, clients may answer any of the calls again.
                for call in &mut answered.calls {
                    call.expect_client(run);
                }
                answered
            }
            // In a box: what comes after it may wait for long.
            None => Box::pin(self.ask(model, &access, progress, wanted)).await?,
        };
        let call_count = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        for call in calls {
            check_cancelled(run)?;
            let mut item = ToolCallItem {
                call_id: call.call_id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
                result: None,
                is_error: false,
            };
            // In a box: most steps call no tool.
            let outcome = Box::pin(tools::execute(engine, run, call, index)).await?;
            progress.say(Item::ToolCall(item.clone()));
            item.result = Some(outcome.result);
            item.is_error = outcome.is_error;
            progress.say(Item::ToolCall(item));
        }
        check_cancelled(run)?;
        let termination = self
            .termination(&access, index, call_count, &response)
            .await?;
        progress.step += 1;
        progress.taken_steps = run.lineage.taken_steps();
        if termination.is_none() {
            run.log.checkpoint_with_next(progress)?;
        }
        self.emit(|run, timestamp| Event::StepFinish {
            run_id: run.id.to_string(),
            agent_name: run.agent.name.to_string(),
            step_index: index,
            max_steps: max_steps(run),
            tool_call_count: call_count,
            termination_reason: termination,
            timestamp,
            conversation_id: conversation(run),
        })
        .await?;
        Ok(StepOutcome {
            response,
            termination,
        })
    }

    /// Asks the model; a step with calls can be gone on with from here.
    async fn ask(
        &self,
        model: &ModelEntry,
        access: &Arc<dyn RunServices>,
        progress: &mut Progress,
        wanted: Option<&Wanted<'_>>,
    ) -> Result<Answered> {
        let Self { engine, run } = self;
        let index = progress.step;
        let change = self
            .ask_step_hooks(access, index, &mut progress.conversation)
            .await?;
        self.emit(|run, timestamp| Event::StepStart {
            run_id: run.id.to_string(),
            agent_name: run.agent.name.to_string(),
            step_index: index,
            max_steps: max_steps(run),
            timestamp,
            conversation_id: conversation(run),
        })
        .await?;
        engine
            .pipeline
            .observers()
            .phase_of(access, "step.start", || {
                json!({
                    "stepIndex": index,
                    "maxSteps": max_steps(run),
                    "messageCount": progress.conversation.len(),
                })
            });
        let request = self.model_request(model, &progress.conversation, &change, wanted)?;
        let answered = step::ask_model(engine, run, model, request, index).await?;
        progress.spent = run.spent();
        for item in &answered.response.output {
            if !matches!(item, Item::ToolCall(_)) {
                progress.say(item.clone());
            }
        }
        if answered.calls.is_empty() || !run.log.keeps_marks() {
            return Ok(answered);
        }
        progress.taken_steps = run.lineage.taken_steps();
        progress.pending = Some(answered);
        let marked = run.log.checkpoint_in_step(progress);
        let answered = progress.pending.take();
        marked?;
        answered.ok_or_else(|| Error::internal("the model's answer was lost"))
    }

    fn model_request(
        &self,
        model: &ModelEntry,
        conversation: &[Item],
        change: &StepChange,
        wanted: Option<&Wanted<'_>>,
    ) -> Result<ModelRequest> {
        let run = self.run;
        let instructions = match (&change.instructions, &run.agent.instructions) {
            (Some(changed), _) => Some(changed.clone()),
            (None, None) => None,
            (None, Some(template)) => {
                let context = run.request.context.as_ref().unwrap_or(&Value::Null);
                let rendered = template.render([("context", context)]);
                Some(rendered.map_err(|error| failure::of_template(&run.agent.name, &error))?)
            }
        };
        let mut input = Vec::with_capacity(conversation.len() + 1);
        input.extend(instructions.map(|text| Item::message("system", text)));
        input.extend_from_slice(conversation);
        let mut request = ModelRequest::new(input);
        if model.info().capabilities.tools {
            let is_active = |tool: &&Arc<ToolEntry>| {
                change
                    .active_tools
                    .as_ref()
                    .is_none_or(|names| names.contains(&tool.info.name))
            };
            request.tools = run
                .agent
                .tools
                .iter()
                .filter(is_active)
                .map(|tool| tool.spec.clone())
                .collect();
            request.tool_choice = change.tool_choice.clone().unwrap_or_default();
        }
        request.structured_output = wanted.map(Wanted::for_model);
        request.modalities = run.request.modalities.clone().unwrap_or_default();
        request.options = model.with_defaults(run.agent.model_options.clone());
        if let Some(own) = &run.request.model_options {
            models::merge(&mut request.options, own);
        }
        Ok(request)
    }

    async fn termination(
        &self,
        access: &Arc<dyn RunServices>,
        index: u32,
        call_count: u32,
        response: &ModelResponse,
    ) -> Result<Option<TerminationReason>> {
        if call_count == 0 {
            return Ok(Some(TerminationReason::NoToolCalls));
        }
        if self.engine.pipeline.has(Stage::StepEnd)
            && Box::pin(self.is_stopped(access, index, call_count, response)).await?
        {
            return Ok(Some(TerminationReason::StopWhen));
        }
        // The steps of the run and of its parts are one budget.
        let is_last = max_steps(self.run).is_some_and(|limit| index + 1 >= limit)
            || !self.run.lineage.take_step();
        Ok(is_last.then_some(TerminationReason::MaxSteps))
    }

    async fn show_step_error(&self, index: u32, error: &Error) {
        let error = if self.run.cancel.is_cancelled() {
            failure::aborted(Some(error.clone()), &self.run.id)
        } else {
            failure::of_step(error)
        };
        let shown = self
            .emit(|run, timestamp| Event::StepError {
                run_id: run.id.to_string(),
                agent_name: run.agent.name.to_string(),
                step_index: index,
                max_steps: max_steps(run),
                error: crate::problem::problem(&error),
                timestamp,
                conversation_id: conversation(run),
            })
            .await;
        if let Err(error) = shown {
            tracing::error!(run_id = &*self.run.id, %error, "an event was not shown");
        }
    }
}

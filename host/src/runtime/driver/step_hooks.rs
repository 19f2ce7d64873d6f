//! What hooks say of the steps of a declared agent: how one begins, whether it is the last, and what
//! becomes of output that does not fit.

use std::sync::Arc;

use mortise_plugin_api::{
    Item, ModelResponse, OutputErrorAnswer, OutputFailed, Result, Stage, StepChange, StepEndAnswer,
    StepEnded, StepInput,
};
use serde_json::Value;

use super::{Driver, max_steps};
use crate::pipeline::to_json;
use crate::plugin::capability::RunServices;
use crate::runtime::access::Place;
use crate::runtime::structured::{self, Unfit, Wanted};

/// What becomes of output that does not fit.
pub(super) enum Repaired {
    Value(Value),
    AskAgain(Item),
}

// === impl Driver ===

impl Driver<'_> {
    pub(super) async fn ask_step_hooks(
        &self,
        access: &Arc<dyn RunServices>,
        index: u32,
        conversation: &mut Vec<Item>,
    ) -> Result<StepChange> {
        if !self.engine.pipeline.has(Stage::Step) {
            return Ok(StepChange::default());
        }
        self.run.log.flush();
        let limit = max_steps(self.run);
        let mut state = (StepChange::default(), std::mem::take(conversation));
        let take = |(change, messages): &mut (StepChange, Vec<Item>), answer: StepChange| {
            if let Some(changed) = answer.messages {
                *messages = changed;
            }
            change.instructions = answer.instructions.or(change.instructions.take());
            change.tool_choice = answer.tool_choice.or(change.tool_choice.take());
            change.active_tools = answer.active_tools.or(change.active_tools.take());
            true
        };
        let input = |(_, messages): &(StepChange, Vec<Item>)| {
            let mut input = StepInput::new(messages.clone());
            input.step_index = index;
            input.max_steps = limit;
            to_json(&input)
        };
        let asked = self
            .engine
            .pipeline
            .ask(Stage::Step, access, &mut state, input, take)
            .await;
        let (change, messages) = state;
        *conversation = messages;
        asked.map(|()| change)
    }

    /// Whether a hook ends the loop after this step.
    pub(super) async fn is_stopped(
        &self,
        access: &Arc<dyn RunServices>,
        index: u32,
        call_count: u32,
        response: &ModelResponse,
    ) -> Result<bool> {
        self.run.log.flush();
        let mut ended = StepEnded::new(response.clone());
        ended.step_index = index;
        ended.tool_call_count = call_count;
        let mut answer = StepEndAnswer::Continue;
        let take = |kept: &mut StepEndAnswer, answer| {
            *kept = answer;
            *kept == StepEndAnswer::Continue
        };
        let pipeline = &self.engine.pipeline;
        pipeline
            .ask(
                Stage::StepEnd,
                access,
                &mut answer,
                |_| to_json(&ended),
                take,
            )
            .await?;
        Ok(answer == StepEndAnswer::Stop)
    }

    /// What becomes of invalid structured output.
    pub(super) async fn repair(
        &self,
        wanted: &Wanted<'_>,
        unfit: Box<Unfit>,
        repairs: &mut u32,
    ) -> Result<Repaired> {
        *repairs += 1;
        if *repairs > self.run.agent.repairs {
            return Err(unfit.error);
        }
        let mut failed = OutputFailed::new(unfit.text.clone(), unfit.issues.clone());
        failed.error_kind = unfit.kind.into();
        failed.attempt = *repairs;
        let access = self.engine.access(self.run, Place::default());
        let mut answer = OutputErrorAnswer::Continue;
        let take = |kept: &mut OutputErrorAnswer, answer| {
            *kept = answer;
            *kept == OutputErrorAnswer::Continue
        };
        let pipeline = &self.engine.pipeline;
        pipeline
            .ask(
                Stage::OutputError,
                &access,
                &mut answer,
                |_| to_json(&failed),
                take,
            )
            .await?;
        let repaired = match answer {
            OutputErrorAnswer::Throw => return Err(unfit.error),
            OutputErrorAnswer::Continue => {
                return Ok(Repaired::AskAgain(structured::repair_prompt(&unfit)));
            }
            OutputErrorAnswer::RepairText(text) => wanted.parse(text),
            OutputErrorAnswer::RepairValue(value) => wanted.check(value, unfit.text),
        };
        repaired.map(Repaired::Value).map_err(|unfit| unfit.error)
    }
}

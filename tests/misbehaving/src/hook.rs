//! A hook with the one stage under test.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ResponseHead, StepEndAnswer, StepEnded, ToolCallFailed, ToolErrorAnswer};

use crate::Config;
use crate::place::{Place, Spot};

pub(crate) struct Misplaced {
    config: Config,
    stage: Stage,
}

// === impl Misplaced ===

impl Misplaced {
    /// `None` where nothing is to go wrong in a hook.
    pub(crate) fn new(config: Config) -> Option<Self> {
        let hanging = match config.hang_in {
            Some(Spot::Guard) => Some(Stage::Guard),
            Some(Spot::Observe) => Some(Stage::Observe),
            _ => None,
        };
        let stage = config.panic_in.and_then(stage).or(hanging)?;
        Some(Self { config, stage })
    }
}

impl Hook for Misplaced {
    fn info(&self) -> HookInfo {
        let info = HookInfo::new("misplaced").on(self.stage);
        if self.config.panic_in == Some(Place::GuardNow) {
            return info.answers_at_once();
        }
        info
    }

    fn guard_now(&self, _request: &Request) -> Result<GuardVerdict> {
        self.config.panic_at(Place::GuardNow);
        Ok(GuardVerdict::Pass)
    }

    async fn guard(&self, _request: Request) -> Result<GuardVerdict> {
        self.config.panic_at(Place::Guard);
        self.config.hang_at(Spot::Guard).await;
        Ok(GuardVerdict::Pass)
    }

    async fn step(&self, _run: RunContext, _step: StepInput) -> Result<StepChange> {
        self.config.panic_at(Place::Step);
        Ok(StepChange::default())
    }

    async fn step_end(&self, _run: RunContext, _ended: StepEnded) -> Result<StepEndAnswer> {
        self.config.panic_at(Place::StepEnd);
        Ok(StepEndAnswer::Continue)
    }

    async fn before_model(
        &self,
        _run: RunContext,
        _request: ModelRequest,
    ) -> Result<Option<ModelRequest>> {
        self.config.panic_at(Place::BeforeModel);
        Ok(None)
    }

    async fn after_model(
        &self,
        _run: RunContext,
        _response: ModelResponse,
    ) -> Result<Option<ModelResponse>> {
        self.config.panic_at(Place::AfterModel);
        Ok(None)
    }

    async fn before_tool(&self, _run: RunContext, _call: ToolCall) -> Result<BeforeTool> {
        self.config.panic_at(Place::BeforeTool);
        Ok(BeforeTool::Continue)
    }

    async fn after_tool(&self, _run: RunContext, _ended: ToolCallEnded) -> Result<Option<Value>> {
        self.config.panic_at(Place::AfterTool);
        Ok(None)
    }

    async fn tool_error(
        &self,
        _run: RunContext,
        _failed: ToolCallFailed,
    ) -> Result<ToolErrorAnswer> {
        self.config.panic_at(Place::ToolError);
        Ok(ToolErrorAnswer::Continue)
    }

    async fn event(&self, _run: RunContext, _event: Event) -> Result<EventVerdict> {
        self.config.panic_at(Place::Event);
        Ok(EventVerdict::Keep)
    }

    async fn before_run(&self, _run: RunContext, _input: RunInput) -> Result<Option<RunInput>> {
        self.config.panic_at(Place::BeforeRun);
        Ok(None)
    }

    async fn after_run(&self, _run: RunContext, _result: RunResult) -> Result<Option<RunResult>> {
        self.config.panic_at(Place::AfterRun);
        Ok(None)
    }

    async fn before_save(&self, _run: RunContext, _items: Vec<Item>) -> Result<Option<Vec<Item>>> {
        self.config.panic_at(Place::BeforeSave);
        Ok(None)
    }

    async fn response(&self, _head: ResponseHead) -> Result<Option<ResponseHead>> {
        self.config.panic_at(Place::Response);
        Ok(None)
    }

    async fn completed(&self, _completed: Completed) -> Result<()> {
        self.config.panic_at(Place::Completed);
        Ok(())
    }

    async fn observe(&self, _observation: Observation) -> Result<()> {
        self.config.panic_at(Place::Observe);
        self.config.hang_at(Spot::Observe).await;
        Ok(())
    }
}

fn stage(place: Place) -> Option<Stage> {
    Some(match place {
        Place::Guard | Place::GuardNow => Stage::Guard,
        Place::Event => Stage::Event,
        Place::Observe => Stage::Observe,
        Place::Step => Stage::Step,
        Place::StepEnd => Stage::StepEnd,
        Place::BeforeModel => Stage::BeforeModel,
        Place::AfterModel => Stage::AfterModel,
        Place::BeforeTool => Stage::BeforeTool,
        Place::AfterTool => Stage::AfterTool,
        Place::ToolError => Stage::ToolError,
        Place::BeforeRun => Stage::BeforeRun,
        Place::AfterRun => Stage::AfterRun,
        Place::BeforeSave => Stage::BeforeSave,
        Place::Response => Stage::Response,
        Place::Completed => Stage::Completed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stage_under_test_is_registered() {
        let stages = |config: Value| {
            let config = serde_json::from_value(config).unwrap();
            Misplaced::new(config).map(|hook| hook.info().stages)
        };
        assert_eq!(stages(json!({})), None);
        assert_eq!(stages(json!({ "panic_in": "tool" })), None);
        assert_eq!(
            stages(json!({ "panic_in": "after_tool" })),
            Some(vec![Stage::AfterTool])
        );
        assert_eq!(
            stages(json!({ "hang_in": "guard" })),
            Some(vec![Stage::Guard])
        );
    }
}

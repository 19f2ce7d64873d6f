//! What hooks say of a call: before it, after it, and when it has failed.

use mortise_plugin_api::{
    BeforeTool, Result, Stage, ToolCall, ToolCallEnded, ToolCallFailed, ToolErrorAnswer,
};
use serde_json::Value;

use super::Execution;
use super::errors::{CallError, Ended};
use crate::pipeline::to_json;

// === impl Execution ===

impl Execution<'_> {
    /// The arguments, and the result of a call that a hook skips.
    pub(super) async fn before_tool(&self, arguments: Value) -> Result<(Value, Option<Ended>)> {
        let mut state = (arguments, None);
        let call = |arguments: &Value| {
            let mut call = ToolCall::new(self.call.name.as_str(), arguments.clone());
            call.tool_call_id.clone_from(&self.call.call_id);
            call
        };
        let take = |(arguments, skipped): &mut (Value, Option<Ended>), answer| {
            match answer {
                BeforeTool::Continue => {}
                BeforeTool::Replace(replaced) => *arguments = replaced,
                BeforeTool::Skip(result) => *skipped = Some(Ended::Fine(result)),
            }
            skipped.is_none()
        };
        let pipeline = &self.engine.pipeline;
        pipeline
            .ask(
                Stage::BeforeTool,
                &self.access,
                &mut state,
                |(a, _)| to_json(&call(a)),
                take,
            )
            .await?;
        Ok(state)
    }

    pub(super) async fn after_tool(
        &self,
        arguments: &Value,
        result: Value,
        error: Option<String>,
    ) -> Result<Value> {
        let mut result = result;
        let ended = |result: &Value| {
            let name = self.call.name.as_str();
            let mut ended = ToolCallEnded::new(name, arguments.clone(), result.clone());
            ended.tool_call_id.clone_from(&self.call.call_id);
            ended.error.clone_from(&error);
            ended
        };
        let take = |result: &mut Value, answer: Option<Value>| {
            if let Some(changed) = answer {
                *result = changed;
            }
            true
        };
        let pipeline = &self.engine.pipeline;
        pipeline
            .ask(
                Stage::AfterTool,
                &self.access,
                &mut result,
                |value| to_json(&ended(value)),
                take,
            )
            .await?;
        Ok(result)
    }

    pub(super) async fn ask_error_hooks(
        &self,
        failed: &CallError,
        attempt: u32,
    ) -> Result<ToolErrorAnswer> {
        if !self.engine.pipeline.has(Stage::ToolError) {
            return Ok(ToolErrorAnswer::Continue);
        }
        let mut input = ToolCallFailed::new(
            self.call.name.as_str(),
            self.call.arguments.as_str(),
            failed.message.as_str(),
        );
        input.tool_call_id.clone_from(&self.call.call_id);
        input.error_kind = failed.kind;
        input.attempt = attempt;
        let mut decided = ToolErrorAnswer::Continue;
        let take = |decided: &mut ToolErrorAnswer, answer| {
            *decided = answer;
            *decided == ToolErrorAnswer::Continue
        };
        let pipeline = &self.engine.pipeline;
        pipeline
            .ask(
                Stage::ToolError,
                &self.access,
                &mut decided,
                |_| to_json(&input),
                take,
            )
            .await?;
        Ok(decided)
    }
}

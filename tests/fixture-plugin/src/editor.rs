//! Changes whatever a hook may change: instructions, calls, results, events, what is saved.

use mortise_plugin_api::prelude::*;

pub(crate) struct Editor;

impl Hook for Editor {
    fn info(&self) -> HookInfo {
        HookInfo::new("editor")
            .on(Stage::Step)
            .on(Stage::BeforeTool)
            .on(Stage::AfterTool)
            .on(Stage::Event)
            .on(Stage::BeforeSave)
            .events(&["TEXT_MESSAGE_CONTENT", "STEP_START"])
    }

    async fn step(&self, _run: RunContext, _step: StepInput) -> Result<StepChange> {
        Ok(StepChange::default().with_instructions("plugin instruction"))
    }

    async fn before_tool(&self, _run: RunContext, call: ToolCall) -> Result<BeforeTool> {
        if call.tool_name == "add" && call.arguments["a"] == 99 {
            return Ok(BeforeTool::Skip(json!({ "skipped": true })));
        }
        Ok(BeforeTool::Continue)
    }

    async fn after_tool(&self, _run: RunContext, ended: ToolCallEnded) -> Result<Option<Value>> {
        let replaced =
            (ended.tool_name == "boom").then(|| json!({ "replaced": true, "error": ended.error }));
        Ok(replaced)
    }

    async fn event(&self, _run: RunContext, event: Event) -> Result<EventVerdict> {
        Ok(edited(event))
    }

    async fn before_save(&self, _run: RunContext, items: Vec<Item>) -> Result<Option<Vec<Item>>> {
        Ok(Some(
            items.into_iter().filter(|item| !is_secret(item)).collect(),
        ))
    }
}

fn edited(event: Event) -> EventVerdict {
    match event {
        Event::StepStart { .. } => EventVerdict::Drop,
        Event::TextMessageContent {
            message_id,
            delta,
            timestamp,
        } => EventVerdict::Replace(Event::TextMessageContent {
            message_id,
            delta: delta.to_uppercase(),
            timestamp,
        }),
        _ => EventVerdict::Keep,
    }
}

fn is_secret(item: &Item) -> bool {
    item.is_message_of("user") && item.text().contains("secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shouted_and_starts_of_steps_dropped() {
        let event = |value| serde_json::from_value::<Event>(value).unwrap();
        let content = |delta| {
            event(json!({
                "type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": delta, "timestamp": 1,
            }))
        };
        assert_eq!(edited(content("hi")), EventVerdict::Replace(content("HI")));
        let start = event(json!({
            "type": "STEP_START", "runId": "r", "agentName": "a", "stepIndex": 0, "timestamp": 1,
        }));
        assert_eq!(edited(start), EventVerdict::Drop);
    }

    #[test]
    fn only_messages_of_users_are_secret() {
        assert!(is_secret(&Item::user("my secret")));
        assert!(!is_secret(&Item::user("hi")));
        assert!(!is_secret(&Item::assistant("your secret")));
    }
}

//! What makes up the end of a run: the agent `forger`, and a hook where `forge` says so.

use mortise_plugin_api::prelude::*;

/// Emits an end that is none, and says what it was told.
pub(crate) struct Forger;

/// How a hook forges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Forge {
    /// It replaces a text by an end.
    Replace,
    /// It holds a text, and releases an end.
    Release,
    /// It replaces the end by something else.
    Swallow,
}

/// Forges in this way.
pub(crate) struct Forging(pub(crate) Forge);

fn end() -> Event {
    Event::Custom(json!({ "type": "RUN_FINISHED" }))
}

impl Agent for Forger {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(
            "forger",
            "Emits an end of its run, and says what it was told",
        )
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        let told = run.emit(end()).await.map_err(|error| error.to_string());
        let said = told.err().unwrap_or_default();
        run.say(&said).await?;
        Ok(RunResult::text(said))
    }
}

impl Hook for Forging {
    fn info(&self) -> HookInfo {
        HookInfo::new("forging")
            .on(Stage::Event)
            .events(&["TEXT_MESSAGE_CONTENT", "RUN_FINISHED"])
    }

    async fn event(&self, _run: RunContext, event: Event) -> Result<EventVerdict> {
        Ok(match (self.0, event.ends_run()) {
            (Forge::Replace, false) => EventVerdict::Replace(end()),
            (Forge::Release, false) => EventVerdict::Hold,
            (Forge::Swallow, true) => EventVerdict::Replace(Event::data(None, json!("no end"))),
            _ => EventVerdict::Keep,
        })
    }

    async fn release(&self, _run: RunContext, _held: Vec<Event>) -> Result<Vec<Event>> {
        Ok(vec![end()])
    }
}

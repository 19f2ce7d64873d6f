//! What is left behind by a run, or asks where it must not: it logs how it is refused.

use mortise_plugin_api::prelude::*;

/// Leaves a task behind that asks for everything when the run has ended. With the input `stay` it
/// does not end itself, but waits until it is told to.
pub(crate) struct LingeringAgent;

/// The same of a tool call.
pub(crate) struct LingeringTool;

/// Asks for everything when it is shown the end of a text.
pub(crate) struct Asking;

impl Agent for LingeringAgent {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("lingering", "Asks for more when its run has ended")
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        if input.last().map(Item::text).as_deref() == Some("stay") {
            run.cancelled().await;
            tracing::info!("the agent was told to end");
            return Err(Error::aborted("it was told to end"));
        }
        linger(run);
        Ok(RunResult::text("that is all"))
    }
}

impl Tool for LingeringTool {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("linger", "Asks for more when its run has ended")
    }

    async fn call(&self, run: RunContext, _arguments: Value) -> Result<Value> {
        linger(run);
        Ok(json!("that is all"))
    }
}

impl Hook for Asking {
    fn info(&self) -> HookInfo {
        HookInfo::new("asking")
            .on(Stage::Event)
            .events(&["TEXT_MESSAGE_END"])
    }

    async fn event(&self, run: RunContext, _event: Event) -> Result<EventVerdict> {
        ask_for_everything(&run).await;
        Ok(EventVerdict::Keep)
    }
}

fn linger(run: RunContext) {
    #[expect(clippy::disallowed_methods, reason = "this is what is tested")]
    let _left_behind = tokio::spawn(async move {
        run.cancelled().await;
        ask_for_everything(&run).await;
    });
}

async fn ask_for_everything(run: &RunContext) {
    let model = "scripted/fake-1";
    let request = ModelRequest::new(vec![Item::user("hi")]);
    let refusals = [
        ("emit", run.emit_data(None, json!("more")).await.err()),
        ("say", run.say("more").await.err()),
        ("generate", run.generate(model, &request).await.err()),
        ("call_tool", run.call_tool("linger", json!({})).await.err()),
        ("run_agent", run.run_agent("plain", "hi").await.err()),
        (
            "generate_chunks",
            run.generate_chunks(model, request).await.err(),
        ),
        ("history", run.history().await.err()),
    ];
    let answers = refusals.map(|(service, refusal)| {
        let code = refusal
            .as_ref()
            .map_or("fine", |it| it.code().unwrap_or("INTERNAL"));
        format!("{service}: {code}")
    });
    tracing::info!("asked for everything: {}", answers.join(", "));
}

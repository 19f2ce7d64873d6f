//! The agent `chief`, whose loop is Rust: it asks other agents, all at the same time.

use futures_util::future::join_all;
use mortise_plugin_api::prelude::*;

pub(crate) struct Chief;

impl Agent for Chief {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(
            "chief",
            "Asks each `AGENT: INPUT` of a list, joined by ` + `",
        )
        .with_agent("worker")
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let prompt = input.last().map(Item::text).unwrap_or_default();
        let asked = prompt.split(" + ").map(|one| {
            let (agent, input) = one.split_once(": ").unwrap_or(("worker", one));
            run.run_agent(agent, input)
        });
        let answers: Vec<String> = join_all(asked)
            .await
            .into_iter()
            .map(|answer| match answer {
                Ok(result) => result.response.text_content(),
                Err(error) => format!("{}: {}", error.code().unwrap_or("?"), error.message()),
            })
            .collect();
        let said = answers.join(" | ");
        run.say(&said).await?;
        Ok(RunResult::text(said))
    }
}

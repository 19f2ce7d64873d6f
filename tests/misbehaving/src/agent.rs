//! The agents `misbehaving`, and `tokio`, which behaves and needs a runtime.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

use crate::Config;
use crate::place::{Place, Spot};

pub(crate) struct Misbehaving {
    config: Config,
}

/// Sleeps and spawns with the library's own tokio.
pub(crate) struct Tokio;

// === impl Misbehaving ===

impl Misbehaving {
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Agent for Misbehaving {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(
            "misbehaving",
            "Panics or hangs where the configuration says so",
        )
        .with_tool("misbehave")
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        self.config.panic_at(Place::Agent);
        self.config.hang_at(Spot::Agent).await;
        let outcome = run.call_tool("misbehave", json!({})).await?;
        let said = outcome.result.to_string();
        run.say(&said).await?;
        Ok(RunResult::text(said))
    }
}

impl Agent for Tokio {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("tokio", "Sleeps and spawns with a tokio of its own")
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        #[expect(clippy::disallowed_methods, reason = "this is what is tested")]
        let spawned = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            "spawned"
        });
        let said = spawned.await?;
        run.say(said).await?;
        Ok(RunResult::text(said))
    }
}

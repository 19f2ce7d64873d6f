//! The agents `misbehaving`; `tokio`, which behaves and needs a runtime; `late`, which has more to say
//! than it has time for.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

use crate::Config;
use crate::place::{Place, Spot};

pub(crate) struct Misbehaving {
    config: Config,
}

/// Sleeps and spawns with the library's own tokio.
pub(crate) struct Tokio;

/// Goes on to emit when its run has ended, until that is refused.
pub(crate) struct Late;

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
        let code = outcome.error.as_ref().and_then(Error::code);
        let said = format!("{} {code:?}", outcome.result);
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

impl Agent for Late {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("late", "Emits events after the end of its run")
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        #[expect(clippy::disallowed_methods, reason = "this is what is tested")]
        let _left_behind = tokio::spawn(async move {
            while run.emit_data(None, json!("more")).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Ok(RunResult::text("that is all"))
    }
}

//! The smallest coded agent: it repeats what it hears.

use mortise_plugin_api::prelude::*;

/// The plugin: no configuration, one agent.
#[derive(Debug)]
pub struct EchoAgent;

impl Plugin for EchoAgent {
    type Config = NoConfig;
    const NAME: &'static str = "echo-agent";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(_config: NoConfig, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.agent(Echo);
    }
}

struct Echo;

impl Agent for Echo {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("echo", "Repeats what it hears")
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let heard = input.last().map(Item::text).unwrap_or_default();
        run.say(&heard).await?;
        Ok(RunResult::text(heard))
    }
}

export_plugin!(EchoAgent);

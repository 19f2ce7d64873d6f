//! The smallest plugin: one agent, which repeats what it hears.
//!
//! `export_plugin!` is all that a library needs beside this; here `main` runs the agent.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::testing::FakeHost;

struct Echo;

impl Plugin for Echo {
    type Config = NoConfig;
    const NAME: &'static str = "echo";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(_config: NoConfig, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.agent(Parrot);
    }
}

struct Parrot;

impl Agent for Parrot {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("echo", "Repeats what it hears")
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let heard = input.last().map(Item::text).unwrap_or_default();
        run.say(&heard).await?;
        Ok(RunResult::text(heard))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let plugin = FakeHost::new("echo").load::<Echo>(json!({}))?;
    let ran = plugin.run_agent("echo", "hello").await;
    assert_eq!(ran.text(), "hello");
    assert_eq!(ran.result?, RunResult::text("hello"));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}

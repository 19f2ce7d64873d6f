//! Decides on a tool call that waits for an approval.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::plugin_api::prelude::*;
use mortise_host::{App, Decision, RunStream};
use scripted_model::Scripted;

const CONFIG: &str = r#"
[agents.cleaner]
model = "scripted/fake-1"
tools = ["wipe"]
"#;

/// A plugin of this program, with one tool.
struct Cleaning;

impl Plugin for Cleaning {
    type Config = NoConfig;
    const NAME: &'static str = "cleaning";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(_config: NoConfig, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.tool(Wipe);
    }
}

struct Wipe;

impl Tool for Wipe {
    fn info(&self) -> ToolInfo {
        ToolInfo::new::<NoConfig>("wipe", "Wipes everything").with_approval()
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(json!("wiped"))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let config = Config::load(ConfigSource::text(CONFIG), &ProcessEnvironment)?;
    let app = App::builder(config)
        .plugin::<Scripted>("scripted", json!({}))
        .plugin::<Cleaning>("cleaning", json!({}))
        .build()
        .await?
        .start()
        .await?;

    for decision in [
        Decision::approved().with_note("Verified by admin"),
        Decision::denied().with_actor("admin_1"),
    ] {
        let RunStream {
            run_id,
            mut events,
            result,
            ..
        } = app.stream("cleaner", "call wipe {}").await?;
        let mut decision = Some(decision);
        while let Some(numbered) = events.next().await {
            match numbered?.event {
                Event::ToolApprovalRequired { call, .. } => {
                    let Some(decision) = decision.take() else {
                        continue;
                    };
                    let was_pending = app
                        .submit_tool_approval(&run_id, &call.tool_call_id, decision)
                        .await?;
                    println!("was pending: {was_pending}");
                }
                Event::ToolApprovalUpdated { approval, .. } => {
                    println!(
                        "{:?} {:?} {:?}",
                        approval.state, approval.note, approval.actor_id
                    );
                }
                _ => {}
            }
        }
        println!("{}", result.await?.response.text_content());
    }

    app.stop().await;
    Ok(())
}

//! Runs an agent, and waits for its answer.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Result};
use scripted_model::Scripted;
use serde_json::json;

const CONFIG: &str = r#"
[agents.assistant]
model = "scripted/fake-1"
instructions = "Be brief."
"#;

#[tokio::main]
async fn main() -> Result<()> {
    let config = Config::load(ConfigSource::text(CONFIG), &ProcessEnvironment)?;
    let app = App::builder(config)
        .plugin::<Scripted>("scripted", json!({}))
        .build()
        .await?
        .start()
        .await?;

    let result = app.run("assistant", "hi").await?;
    println!("{}", result.response.text_content());
    println!("{:?}", result.response.finish_reason);

    let unknown = app.run("nobody", "hi").await;
    if let Err(error) = unknown {
        println!("{error}");
    }

    app.stop().await;
    Ok(())
}

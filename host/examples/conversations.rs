//! Continues a conversation, loads it, and shows that it belongs to somebody.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Principal, Result, RunOptions};
use scripted_model::Scripted;
use serde_json::json;

const CONFIG: &str = r#"
[agents.assistant]
model = "scripted/fake-1"
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
    let ann = app.as_principal(Principal::new("ann"));

    for prompt in ["hi", "hist"] {
        let options = RunOptions::new(prompt).with_conversation("conv_1");
        ann.run("assistant", options).await?;
    }
    if let Some(conversation) = ann.load_conversation("assistant", "conv_1").await? {
        for item in &conversation.items {
            println!("{}", item.text());
        }
    }

    let bob = app.as_principal(Principal::new("bob"));
    let of_others = bob.load_conversation("assistant", "conv_1").await?;
    println!("bob finds {of_others:?}");

    app.stop().await;
    Ok(())
}

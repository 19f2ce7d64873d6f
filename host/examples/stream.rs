//! Streams a run: its id, its events while they come, and what it came to.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Event, Result, RunStream};
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

    let RunStream {
        run_id,
        mut events,
        result,
        ..
    } = app.stream("assistant", "hi").await?;
    while let Some(numbered) = events.next().await {
        let numbered = numbered?;
        match numbered.event {
            Event::TextMessageContent { delta, .. } => println!("{} says {delta:?}", numbered.seq),
            event => println!("{} {}", numbered.seq, event.kind()),
        }
    }
    let result = result.await?;
    println!("used {:?} tokens", result.response.usage.total_tokens);
    println!("the run was one: {}", run_id.starts_with("run_"));

    app.stop().await;
    Ok(())
}

//! Aborts a run: by its id, and by losing interest in it.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Event, Result};
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

    let stream = app.stream("assistant", "slow").await?;
    println!("aborted: {}", app.abort_run(&stream.run_id).await?);
    if let Err(error) = stream.result.await {
        println!("{:?}", error.code());
    }
    println!("aborted again: {}", app.abort_run(&stream.run_id).await?);

    // Nobody watches this one any more, which aborts it too.
    let stream = app.stream("assistant", "slow").await?;
    let resumed = app.resume_stream(&stream.run_id, None).await?;
    drop(stream);
    if let Some(mut events) = resumed {
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event?.event);
        }
        println!("{:?}", last.as_ref().map(Event::kind));
    }

    app.stop().await;
    Ok(())
}

//! Comes back to a run: by its id after a cursor, and by its conversation.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Result, RunOptions};
use scripted_model::Scripted;
use serde_json::json;

const CONFIG: &str = r#"
[runs]
on_request_disconnect = "continue"

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

    // Somebody watches for a while, and goes.
    let options = RunOptions::new("slow").with_conversation("conv_1");
    let mut stream = app.stream("assistant", options).await?;
    let mut seen = None;
    while let Some(event) = stream.events.next().await {
        seen = Some(event?.seq);
        if seen == Some(3) {
            break;
        }
    }
    let run_id = stream.run_id.clone();
    drop(stream);

    let active = app.resume_conversation("assistant", "conv_1", seen).await?;
    println!("the conversation has a run: {}", active.is_some());
    let quiet = app.resume_conversation("assistant", "conv_2", None).await?;
    println!("another one has a run: {}", quiet.is_some());

    if let Some(mut events) = app.resume_stream(&run_id, seen).await? {
        let (mut first, mut last) = (None, None);
        while let Some(event) = events.next().await {
            let event = event?;
            first.get_or_insert(event.seq);
            last = Some(event);
        }
        println!("resumed at {first:?}");
        println!(
            "ended with {:?}",
            last.as_ref().map(|last| last.event.kind())
        );
    }
    let unknown = app.resume_stream("run_unknown", None).await?;
    println!("an unknown run has a stream: {}", unknown.is_some());

    app.stop().await;
    Ok(())
}

//! Answers a client tool: the run waits until the program says what came of it.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Event, Result, RunStream};
use scripted_model::Scripted;
use serde_json::json;

const CONFIG: &str = r#"
[tools.confirm]
client = true
description = "Asks the user a question that is answered with yes or no"
schema = { type = "object", properties = { q = { type = "string" } } }

[agents.interactive]
model = "scripted/fake-1"
tools = ["confirm"]
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
    } = app
        .stream("interactive", r#"call confirm {"q":"sure?"}"#)
        .await?;
    while let Some(numbered) = events.next().await {
        if let Event::ToolCallEnd { call, .. } = numbered?.event {
            println!("asked for {}", call.tool_call_name);
            let answer = || Ok(json!(true));
            let was_pending = app
                .submit_tool_result(&run_id, &call.tool_call_id, answer())
                .await?;
            let again = app
                .submit_tool_result(&run_id, &call.tool_call_id, answer())
                .await?;
            println!("was pending: {was_pending}, and after that: {again}");
        }
    }
    println!("{}", result.await?.response.text_content());

    app.stop().await;
    Ok(())
}

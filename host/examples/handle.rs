//! Answers an HTTP request by hand: whatever accepted it, here is the response.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Result};
use scripted_model::Scripted;
use serde_json::json;

const CONFIG: &str = r#"
[server]
base_path = "/api"
secret = "s3cret"

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

    for secret in ["s3cret", "wrong"] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/assistant/run")
            .header("authorization", format!("Bearer {secret}"))
            .header("content-type", "application/json")
            .body(Full::from(json!({ "input": "hi" }).to_string()))?;
        let response = app.handle(request).await;
        println!("{}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&body));
    }

    app.stop().await;
    Ok(())
}

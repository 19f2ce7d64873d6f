//! Puts middleware of tower round the app.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Empty};
use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, HttpBody, Result};
use scripted_model::Scripted;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt as _};

const CONFIG: &str = r#"
[agents.assistant]
model = "scripted/fake-1"
description = "Answers"
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

    let service = ServiceBuilder::new()
        .map_response(|mut response: http::Response<HttpBody>| {
            let headers = response.headers_mut();
            headers.insert("x-program", HeaderValue::from_static("example"));
            response
        })
        .service(app.service());
    let request = Request::get("/-/agents").body(Empty::new())?;
    let response = service.oneshot(request).await?;
    println!(
        "{} {:?}",
        response.status(),
        response.headers()["x-program"]
    );
    let body = response.into_body().collect().await?.to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    println!("{}", body["agents"][0]["name"]);

    app.stop().await;
    Ok(())
}

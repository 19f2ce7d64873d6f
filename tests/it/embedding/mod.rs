//! The server as a crate: apps of this very program.

mod life;
mod linked;
mod one_runtime;

use http_body_util::{BodyExt as _, Full};
use integration_tests::plugin_dir;
use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, AppBuilder};
use serde_json::Value;

/// An app of these sections, with the scripted model as a library.
fn app(sections: &str) -> AppBuilder {
    let dir = serde_json::json!(plugin_dir().to_string_lossy());
    let text = format!(
        r#"{sections}
[plugins]
dir = {dir}

[[plugins.load]]
name = "scripted"
library = "scripted_model"
"#
    );
    let config = Config::load(ConfigSource::text(text), &ProcessEnvironment);
    App::builder(config.expect("the configuration is fine"))
}

/// The same, at work.
async fn started(sections: &str) -> App {
    let built = app(sections).build().await.expect("it can be built");
    built.start().await.expect("it starts")
}

/// A POST of JSON, without a connection.
fn post(target: &str, body: &Value) -> http::Request<Full<bytes::Bytes>> {
    http::Request::post(target)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .expect("it is a request")
}

/// A GET, without a connection.
fn get(target: &str) -> http::Request<Full<bytes::Bytes>> {
    http::Request::get(target)
        .body(Full::default())
        .expect("it is a request")
}

/// The status of the answer, and its body as JSON; `null` for an empty one.
async fn answer(app: &App, request: http::Request<Full<bytes::Bytes>>) -> (u16, Value) {
    let response = app.handle(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await;
    let body = body.expect("the body comes to its end").to_bytes();
    let json = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).expect("the body is JSON")
    };
    (status, json)
}

//! Mounts the app in an axum application, beside routes of its own.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::{App, Result};
use scripted_model::Scripted;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const CONFIG: &str = r#"
[server]
base_path = "/api"

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

    let router = Router::new()
        .route("/", get(async || "the program's own page"))
        .merge(app.router());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    // With the addresses of the clients, for whatever counts or lists them.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        let _stopped = stopped.await;
    });
    let asking = async {
        for path in ["/", "/livez", "/api/-/agents", "/api/nowhere"] {
            println!("{path} {}", status_line(address, path).await?);
        }
        // First no connection is accepted any more, then the app ends.
        let _gone = stop.send(());
        Ok(())
    };
    let (served, asked): (_, Result<()>) = tokio::join!(serving.into_future(), asking);
    served?;
    asked?;
    app.stop().await;
    Ok(())
}

/// What a client reads first.
async fn status_line(address: SocketAddr, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    Ok(response.lines().next().unwrap_or_default().to_owned())
}

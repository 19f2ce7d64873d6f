//! The least that stands between a client and a provider: axum, a socket to the provider, and each
//! token written anew as it comes.

use std::{io, net::SocketAddr, sync::Arc, sync::Mutex};

use axum::{
    Router,
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures_util::stream::unfold;
use serde_json::{Value, json};

use crate::{
    rival::serve_routes,
    wire::{Connection, Request},
};

/// The provider, and the connections to it that nobody uses now.
#[derive(Clone)]
struct Provider {
    address: SocketAddr,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// Asks the provider at the address for whoever asks, and prints its own address.
pub(crate) fn serve(provider: &str) -> Result<(), String> {
    let address = provider
        .parse()
        .map_err(|_| format!("no address: {provider}"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime
        .block_on(listen(Provider {
            address,
            idle: Arc::default(),
        }))
        .map_err(|error| format!("the relay has failed: {error}"))
}

async fn listen(provider: Provider) -> io::Result<()> {
    let routes = Router::new().route(
        "/api/asking/run",
        post(move |body: String| async move {
            match provider.ask(&body).await {
                Ok(answer) => answer,
                Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
            }
        }),
    );
    serve_routes(routes).await
}

// === impl Provider ===

impl Provider {
    async fn ask(self, body: &str) -> io::Result<Response> {
        let body: Value = serde_json::from_str(body)?;
        let question = json!({
            "model": "scripted",
            "stream": true,
            "messages": [{ "role": "user", "content": body["input"] }],
        });
        let request = Request::post("/v1/chat/completions", question.to_string());
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        connection.ask(&request.to_text()).await?;
        connection.read_head().await?;
        let tokens = unfold(Some((self, connection)), |reading| async move {
            let (provider, mut connection) = reading?;
            let mut chunk = Vec::new();
            match connection.read_chunk(&mut chunk).await {
                Ok(true) => Some((Ok(frame(&chunk)), Some((provider, connection)))),
                Ok(false) => {
                    provider.idle().push(connection);
                    None
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        let body = Body::from_stream(tokens);
        Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The token of a provider's frame, in one of the relay's own.
fn frame(chunk: &[u8]) -> String {
    let text = chunk.strip_prefix(b"data: ").unwrap_or(chunk);
    // The end mark is no JSON, and the last frame has no token.
    let mut event: Value = serde_json::from_slice(text).unwrap_or_default();
    let delta = event.pointer_mut("/choices/0/delta/content");
    let delta = delta.map(Value::take);
    let event = json!({ "type": "TEXT_MESSAGE_CONTENT", "delta": delta });
    format!("data: {event}\n\n")
}

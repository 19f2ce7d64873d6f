//! The rival: axum, with the same bytes and nothing behind them.

use std::{fs, io, path::Path};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
    routing::post,
    serve::ListenerExt as _,
};
use bytes::Bytes;
use futures_util::stream;
use tokio::net::TcpListener;

use crate::say;

/// What is answered.
#[derive(Clone)]
struct Answers {
    json: Bytes,
    stream: Bytes,
}

/// Serves the files `json` and `stream` of a folder, and prints the address.
pub(crate) fn serve(folder: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime
        .block_on(serve_files(folder))
        .map_err(|error| format!("the rival has failed: {error}"))
}

async fn serve_files(folder: &Path) -> io::Result<()> {
    let answers = Answers {
        json: fs::read(folder.join("json"))?.into(),
        stream: fs::read(folder.join("stream"))?.into(),
    };
    let routes = Router::new().route(
        "/api/bench/run",
        post(move |headers: HeaderMap, body: Bytes| {
            let answer = answers.answer(&headers);
            drop(body);
            async move { answer }
        }),
    );
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    let listener = listener.tap_io(|stream| {
        // Without it both would wait for delayed acknowledgements; an error leaves it slow.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, routes).await
}

// === impl Answers ===

impl Answers {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let wants_stream = headers
            .get(header::ACCEPT)
            .is_some_and(|it| it.as_bytes() == b"text/event-stream");
        if !wants_stream {
            let json = self.json.clone();
            return ([(header::CONTENT_TYPE, "application/json")], json).into_response();
        }
        // One piece, as a server that coalesces ready frames writes it.
        let piece = Ok::<_, io::Error>(self.stream.clone());
        let body = Body::from_stream(stream::iter([piece]));
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    }
}

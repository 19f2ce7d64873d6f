//! The rival: axum, with the same bytes and nothing behind them.

use std::{fs, io, path::Path, sync::Arc};

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

/// How the rival streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Each frame is a piece of the body, as a handler has them that streams.
    Frames,
    /// The whole stream is one piece: no server that streams can do this.
    Whole,
}

/// What is answered.
#[derive(Clone)]
struct Answers {
    json: Bytes,
    /// The pieces of the stream.
    pieces: Arc<[Bytes]>,
}

/// Serves the files `json` and `stream` of a folder, and prints the address.
pub(crate) fn serve(folder: &Path, writes: &str) -> Result<(), String> {
    let writes = Writes::named(writes).ok_or_else(|| format!("there are no writes {writes:?}"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime
        .block_on(serve_files(folder, writes))
        .map_err(|error| format!("the rival has failed: {error}"))
}

async fn serve_files(folder: &Path, writes: Writes) -> io::Result<()> {
    let answers = Answers {
        json: fs::read(folder.join("json"))?.into(),
        pieces: writes.pieces(&fs::read_to_string(folder.join("stream"))?),
    };
    let routes = Router::new().route(
        "/api/bench/run",
        post(move |headers: HeaderMap, body: Bytes| {
            let answer = answers.answer(&headers);
            drop(body);
            async move { answer }
        }),
    );
    serve_routes(routes).await
}

/// Serves at a free port, and prints the address.
pub(crate) async fn serve_routes(routes: Router) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    let listener = listener.tap_io(|stream| {
        // Without it both would wait for delayed acknowledgements; an error leaves it slow.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, routes).await
}

// === impl Writes ===

impl Writes {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Whole => "whole",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Frames, Self::Whole]
            .into_iter()
            .find(|it| it.name() == name)
    }

    fn pieces(self, stream: &str) -> Arc<[Bytes]> {
        match self {
            Self::Whole => Arc::new([Bytes::from(stream.to_owned())]),
            Self::Frames => {
                let frames = stream.split_inclusive("\n\n");
                frames.map(|frame| Bytes::from(frame.to_owned())).collect()
            }
        }
    }
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
        let pieces = Arc::clone(&self.pieces);
        let pieces = (0..pieces.len()).map(move |at| Ok::<_, io::Error>(pieces[at].clone()));
        let body = Body::from_stream(stream::iter(pieces));
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    }
}

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
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;

use crate::say;

/// How many ready frames are written at once.
const FRAMES_AT_ONCE: usize = 128;

/// What is answered.
#[derive(Clone)]
struct Answers {
    json: Bytes,
    /// The stream, frame by frame.
    frames: Arc<[Bytes]>,
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
        frames: frames(&fs::read_to_string(folder.join("stream"))?),
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

fn frames(stream: &str) -> Arc<[Bytes]> {
    stream
        .split_inclusive("\n\n")
        .map(|frame| Bytes::from(frame.to_owned()))
        .collect()
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
        // Frame by frame, as any server has them; what is ready at once is written at once.
        let frames: Arc<[Bytes]> = Arc::clone(&self.frames);
        let frames = stream::iter((0..frames.len()).map(move |at| frames[at].clone()));
        let pieces = frames.ready_chunks(FRAMES_AT_ONCE).map(|ready| {
            let mut piece = BytesMut::with_capacity(ready.iter().map(Bytes::len).sum());
            for frame in &ready {
                piece.extend_from_slice(frame);
            }
            Ok::<_, io::Error>(piece.freeze())
        });
        let body = Body::from_stream(pieces);
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    }
}

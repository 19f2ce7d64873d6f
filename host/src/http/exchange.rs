//! A request and its response, until the last byte was sent: whoever waits for that is told then.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use mortise_plugin_api::Stage;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::router::Seen;
use super::state::HttpState;
use crate::metrics::OpenStream;
use crate::pipeline::Sent;
use crate::runtime::RunUsage;

/// A request and what is remembered of it until its response was sent.
pub(super) struct Exchange {
    pub(super) id: Arc<str>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) started: Instant,
    pub(super) client_ip: IpAddr,
    pub(super) seen: Arc<Seen>,
    pub(super) over: Over,
    /// The event stream that answers it, as it is counted.
    pub(super) stream: Option<OpenStream>,
}

/// Frees the places of a request when its response was sent or given up.
pub(super) struct Over(Arc<Seen>);

/// A body that counts what was taken of it, and reports at its end or when it is dropped.
struct Counted {
    body: Body,
    bytes: u64,
    report: Option<Report>,
}

type Report = Box<dyn FnOnce(u64) + Send>;

// === impl Exchange ===

impl Exchange {
    /// Frees the places of the request once the body was sent or given up, and tells the
    /// `completed` hooks.
    pub(super) fn until_sent(self, state: Arc<HttpState>, response: Response) -> Response {
        let status = response.status().as_u16();
        let usage = response.extensions().get::<RunUsage>().cloned();
        // Whoever embeds the server may drop the response where no runtime is.
        let runtime = Handle::current();
        let report = move |bytes: u64| {
            drop((self.over, self.stream));
            if !state.pipeline.has(Stage::Completed) {
                return;
            }
            let request = self.seen.request();
            let sent = Sent {
                request_id: self.id.to_string(),
                agent: request.and_then(|request| request.agent.clone()),
                principal: request
                    .and_then(|request| request.principal())
                    .map(Arc::unwrap_or_clone),
                method: self.method,
                path: self.path,
                client_ip: self.client_ip,
                status,
                bytes,
                duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
                usage: usage.and_then(|usage| usage.get().copied()),
            };
            let tasks = state.tasks.clone();
            let _entered = runtime.enter();
            tasks.spawn(async move { state.pipeline.completed(&sent).await });
        };
        response.map(|body| {
            Body::new(Counted {
                body,
                bytes: 0,
                report: Some(Box::new(report)),
            })
        })
    }
}

// === impl Over ===

impl Over {
    pub(super) fn new(seen: &Arc<Seen>) -> Self {
        Self(Arc::clone(seen))
    }

    pub(super) fn holds_places(&self) -> bool {
        self.0
            .request()
            .is_some_and(|request| request.places.are_held())
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        if let Some(request) = self.0.request() {
            request.places.free();
        }
    }
}

// === impl Counted ===

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.bytes += data.len() as u64;
        }
        // A connection may keep a body that it has read to the end.
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.finish();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Counted {
    fn finish(&mut self) {
        if let Some(report) = self.report.take() {
            report(self.bytes);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_once_also_when_the_client_goes() {
        let reported = Arc::new(Mutex::new(Vec::new()));
        for takes_all in [true, false] {
            let reports = Arc::clone(&reported);
            let mut counted = Counted {
                body: Body::from("12345"),
                bytes: 0,
                report: Some(Box::new(move |bytes| reports.lock().unwrap().push(bytes))),
            };
            if takes_all {
                while counted.frame().await.is_some() {}
            }
        }
        assert_eq!(*reported.lock().unwrap(), [5, 0]);
    }
}

//! Answers on their way to the peer: a connection is at work until they were sent, and a peer that
//! does not take one over HTTP/2 does not hold it for ever.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::activity::UnderWay;
use crate::runtime::CutNotice;
use crate::shutdown::Tasks;

/// A body that is being sent.
pub(super) struct Sending {
    body: Body,
    under_way: UnderWay,
    stream: Option<Arc<Stream>>,
    cut_notice: Option<CutNotice>,
}

/// Runs the requests of HTTP/2 connections as tasks, so that a shutdown waits for them too, and
/// resets the streams whose peer takes nothing.
///
/// A stream has a window of its own: the connection goes on, and the system sees nothing wrong.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) tasks: Tasks,
    /// How long a peer may take nothing.
    pub(super) patience: Duration,
}

/// One request of an HTTP/2 connection.
#[derive(Default)]
struct Stream {
    /// Since when it has been the peer's turn.
    waiting: Mutex<Option<Instant>>,
    was_cut: AtomicBool,
}

tokio::task_local! {
    static STREAM: Arc<Stream>;
}

// === impl Sending ===

impl Sending {
    /// The response, which keeps its connection at work until it was sent.
    pub(super) fn of(mut response: Response, under_way: UnderWay) -> Response<Self> {
        let cut_notice = response.extensions_mut().remove::<CutNotice>();
        response.map(|body| Self {
            body,
            under_way,
            stream: STREAM.try_with(Arc::clone).ok(),
            cut_notice,
        })
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(stream) = &self.stream {
            // It is asked for more once the window has taken what it gave before.
            stream.set_waiting(matches!(polled, Poll::Ready(Some(_))));
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

impl Drop for Sending {
    fn drop(&mut self) {
        let was_cut =
            self.under_way.was_cut() || self.stream.as_ref().is_some_and(|stream| stream.was_cut());
        if let Some(notice) = self.cut_notice.take()
            && was_cut
        {
            notice.give();
        }
    }
}

// === impl Streams ===

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, request: F) {
        let stream = Arc::new(Stream::default());
        let patience = self.patience;
        let answered = STREAM.scope(Arc::clone(&stream), request);
        self.tasks.spawn(async move {
            tokio::select! {
                _ = answered => {}
                () = stream.stalled(patience) => tracing::debug!("reset a stalled stream"),
            }
        });
    }
}

// === impl Stream ===

impl Stream {
    fn set_waiting(&self, is_waiting: bool) {
        *self.waiting() = is_waiting.then(Instant::now);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::Acquire)
    }

    /// Waits until the peer has taken nothing for this long.
    async fn stalled(&self, patience: Duration) {
        loop {
            let since = *self.waiting();
            tokio::time::sleep_until(since.unwrap_or_else(Instant::now) + patience).await;
            if since.is_some() && *self.waiting() == since {
                self.was_cut.store(true, Ordering::Release);
                return;
            }
        }
    }
}

/// What the service of a connection answers.
pub(super) type Answer = Result<Response<Sending>, Infallible>;

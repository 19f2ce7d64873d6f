//! Watching a run from the same program: its events as a stream, and what it comes to.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use mortise_plugin_api::{Error, NumberedEvent, Result, RunResult};
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::runtime::{EventBatch, ReadOutcome, Reader, Watched};

/// A run that was started and goes on by itself.
///
/// Its parts may be taken apart and awaited in different tasks. When both `events` and `result`
/// are dropped before the run has ended, nobody watches any more: that is the hang-up of an HTTP
/// client, and `runs.on_request_disconnect` says what becomes of the run.
///
/// ```
/// use mortise_host::{App, Error, Event, RunStream};
///
/// # async fn stream(app: App) -> Result<(), Error> {
/// let RunStream { run_id, mut events, result, .. } =
///     app.stream("assistant", "Summarize this document").await?;
/// while let Some(numbered) = events.next().await {
///     if let Event::TextMessageContent { delta, .. } = numbered?.event {
///         print!("{delta}");
///     }
/// }
/// println!("{run_id} ended: {:?}", result.await?.response.finish_reason);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "a run that nobody watches is aborted"]
pub struct RunStream {
    /// The run, for whoever wants to abort, answer or resume it.
    pub run_id: String,
    /// What it shows.
    pub events: RunEvents,
    /// What it comes to.
    pub result: PendingResult,
}

/// The events of a run, from 0 or after a cursor, until it ends.
///
/// The run never waits for its readers. One that lags more than `runs.event_queue` events behind
/// reads on from the store; where events are not kept it gets an `UNAVAILABLE` error, which is its
/// last item.
#[must_use = "events are read with `next`"]
pub struct RunEvents {
    reading: Reading,
    ready: std::iter::Flatten<std::vec::IntoIter<EventBatch>>,
    /// Held by all who watch a run that ends with them.
    _watch: Option<Arc<DropGuard>>,
}

enum Reading {
    Idle(Reader),
    Waiting(Pin<Box<dyn Future<Output = (Reader, ReadOutcome)> + Send>>),
    Ended,
}

/// What a streamed run will have come to: a future of its result.
///
/// A run that failed gives its error, one that was aborted `ABORTED`.
#[must_use = "the result comes when it is awaited"]
pub struct PendingResult {
    receiver: oneshot::Receiver<Result<RunResult>>,
    _watch: Option<Arc<DropGuard>>,
}

// === impl RunStream ===

impl From<Watched> for RunStream {
    fn from(watched: Watched) -> Self {
        let Watched {
            run_id,
            reader,
            gone,
            result,
        } = watched;
        let watch = gone.map(|gone| Arc::new(gone.drop_guard()));
        Self {
            run_id: run_id.to_string(),
            events: RunEvents::new(reader, watch.clone()),
            result: PendingResult {
                receiver: result,
                _watch: watch,
            },
        }
    }
}

// === impl RunEvents ===

impl RunEvents {
    fn new(reader: Reader, watch: Option<Arc<DropGuard>>) -> Self {
        Self {
            reading: Reading::Idle(reader),
            ready: Vec::new().into_iter().flatten(),
            _watch: watch,
        }
    }

    /// Those of a reader that came later: nothing depends on it.
    pub(super) fn resumed(reader: Reader) -> Self {
        Self::new(reader, None)
    }

    /// The next event, `None` when the run has ended. Nothing is lost when the wait is dropped.
    pub async fn next(&mut self) -> Option<Result<NumberedEvent>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<NumberedEvent>>> {
        loop {
            if let Some(event) = self.ready.next() {
                return Poll::Ready(Some(decoded(event)));
            }
            self.reading = match std::mem::replace(&mut self.reading, Reading::Ended) {
                Reading::Ended => return Poll::Ready(None),
                Reading::Idle(mut reader) => Reading::Waiting(Box::pin(async move {
                    let outcome = reader.next().await;
                    (reader, outcome)
                })),
                Reading::Waiting(mut waiting) => match waiting.as_mut().poll(context) {
                    Poll::Pending => {
                        self.reading = Reading::Waiting(waiting);
                        return Poll::Pending;
                    }
                    Poll::Ready((reader, ReadOutcome::Events(batches))) => {
                        self.ready = batches.into_iter().flatten();
                        Reading::Idle(reader)
                    }
                    Poll::Ready((_, ReadOutcome::Lagged { last })) => {
                        return Poll::Ready(Some(Err(lagged(last))));
                    }
                    Poll::Ready((_, ReadOutcome::End { .. })) => Reading::Ended,
                },
            };
        }
    }
}

impl Stream for RunEvents {
    type Item = Result<NumberedEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

fn decoded((seq, json): (u64, Bytes)) -> Result<NumberedEvent> {
    let event = serde_json::from_slice(&json)?;
    Ok(NumberedEvent { seq, event })
}

fn lagged(last: Option<u64>) -> Error {
    let seen = last.map_or_else(
        || "the first event".to_owned(),
        |seq| format!("event {seq}"),
    );
    Error::unavailable(format!(
        "the events after {seen} are no longer at hand; raise runs.event_queue, or keep streams \
         in a store"
    ))
}

impl std::fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunEvents").finish_non_exhaustive()
    }
}

// === impl PendingResult ===

impl Future for PendingResult {
    type Output = Result<RunResult>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let received = Pin::new(&mut self.receiver).poll(context);
        received
            .map(|ended| ended.unwrap_or_else(|_| Err(Error::internal("the run's task was lost"))))
    }
}

impl std::fmt::Debug for PendingResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingResult").finish_non_exhaustive()
    }
}

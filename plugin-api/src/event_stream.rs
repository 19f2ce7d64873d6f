//! Server-sent events, written so that simple readers get them whole.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::Serialize;

use crate::error::Result;
use crate::host::Host;
use crate::response::{BodyWriter, Response};
use crate::run_events::RunEvents;
use crate::run_status::NumberedEvent;

/// Where a stream of events is written to; see [`Response::events`].
#[derive(Debug)]
pub struct EventWriter {
    host: Host,
    writer: BodyWriter,
    is_paced: bool,
    burst: usize,
    last_time: u64,
}

/// A stream that is silent for so long gets a comment.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// After so many bytes a paced writer pauses.
const BURST: usize = 8 * 1024;
const PAUSE: Duration = Duration::from_millis(20);

impl Response {
    /// 200 with server-sent events that `write` writes one by one; it is dropped when the client
    /// has gone.
    pub fn events<W, F>(host: &Host, write: W) -> Self
    where
        W: FnOnce(EventWriter) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let host = host.clone();
        let stream = Self::stream("text/event-stream", move |writer| {
            write(EventWriter {
                host,
                writer,
                is_paced: false,
                burst: 0,
                last_time: 0,
            })
        });
        stream.with_header("cache-control", "no-cache")
    }
}

// === impl EventWriter ===

impl EventWriter {
    /// Pauses for 20 ms after every 8 KiB: for readers that take each read for whole events. They
    /// get whole ones as long as no more is under way than they read at once.
    #[must_use]
    pub fn paced(mut self) -> Self {
        self.is_paced = true;
        self
    }

    /// Writes an event that is only data.
    ///
    /// # Errors
    /// `ABORTED` when the client has gone.
    pub async fn send(&mut self, data: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(data)?;
        self.write(format!("data: {json}\n\n")).await
    }

    /// Writes an event with a name, which has no line break.
    ///
    /// # Errors
    /// `ABORTED` when the client has gone.
    pub async fn send_named(&mut self, event: &str, data: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(data)?;
        self.write(format!("event: {event}\ndata: {json}\n\n"))
            .await
    }

    /// The time for the next event, in milliseconds since 1970: never before that of the last one,
    /// even if the clock is set back.
    pub fn timestamp(&mut self) -> u64 {
        self.last_time = self.host.now_millis().max(self.last_time);
        self.last_time
    }

    /// The next event of a run; while there is none, the client is sent a comment every 15 s.
    pub async fn next(&mut self, events: &mut RunEvents) -> Option<Result<NumberedEvent>> {
        let mut next = pin!(events.next());
        loop {
            let silence = pin!(self.host.sleep(HEARTBEAT));
            match select(next, silence).await {
                Either::Left((event, _)) => return event,
                Either::Right(((), waiting)) => next = waiting,
            }
            if let Err(gone) = self.writer.write(": ping\n\n").await {
                return Some(Err(gone));
            }
        }
    }

    async fn write(&mut self, frame: String) -> Result<()> {
        self.burst += frame.len();
        if self.is_paced && self.burst > BURST {
            self.burst = frame.len();
            self.host.sleep(PAUSE).await;
        }
        // One chunk, so that whoever reads chunk by chunk reads whole events.
        self.writer.write(frame).await
    }
}

//! Responses of guards and endpoints, whole or written bit by bit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use serde::Serialize;

use crate::body::Body;
use crate::error::{Error, Result};

/// A response: status, headers, and a body that is whole or streamed.
#[derive(Debug)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Bytes)>,
    pub(crate) body: Body,
}

/// Where a streaming response is written to.
#[derive(Debug, Clone)]
pub struct BodyWriter {
    sender: tokio::sync::mpsc::Sender<Bytes>,
}

/// The chunks of a body that is being written: drives the writer while the reader waits.
struct Written {
    receiver: tokio::sync::mpsc::Receiver<Bytes>,
    writing: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    failure: Option<Error>,
}

// === impl Response ===

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::empty(),
        }
    }

    /// 200 with a JSON body.
    ///
    /// # Errors
    /// When the value cannot be written as JSON (a map whose keys are no strings).
    pub fn json(value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value)?;
        Ok(Self::new(200)
            .with_header("content-type", "application/json")
            .with_body(bytes))
    }

    /// 200 with a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200)
            .with_header("content-type", "text/plain; charset=utf-8")
            .with_body(text.into())
    }

    /// 200 with a body that `write` writes bit by bit; it is dropped when the client has gone.
    ///
    /// ```
    /// use mortise_plugin_api::prelude::*;
    ///
    /// fn countdown() -> Response {
    ///     Response::stream("text/plain", |writer| async move {
    ///         for number in (0..3).rev() {
    ///             writer.write(format!("{number}\n")).await?;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn stream<W, F>(content_type: &str, write: W) -> Self
    where
        W: FnOnce(BodyWriter) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        // One chunk may wait while the next is written: the reader sets the pace.
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let writing = write(BodyWriter { sender });
        Self::new(200)
            .with_header("content-type", content_type.to_owned())
            .with_stream(Written {
                receiver,
                writing: Some(Box::pin(writing)),
                failure: None,
            })
    }

    /// Another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets a header, in place of those of its name.
    #[must_use]
    pub fn replacing_header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self.with_header(name, value)
    }

    /// These bytes as the body.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::full(bytes);
        self
    }

    /// Chunks as they come as the body.
    #[must_use]
    pub fn with_stream(
        mut self,
        stream: impl Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> Self {
        self.body = Body::from_stream(stream);
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The headers, in order.
    pub fn headers(&self) -> &[(String, Bytes)] {
        &self.headers
    }

    /// The body.
    pub fn into_body(self) -> Body {
        self.body
    }
}

// === impl BodyWriter ===

impl BodyWriter {
    /// Writes a chunk; waits until the reader has room for it.
    ///
    /// # Errors
    /// `ABORTED` when the client has gone.
    pub async fn write(&self, chunk: impl Into<Bytes>) -> Result<()> {
        self.sender
            .send(chunk.into())
            .await
            .map_err(|_| Error::aborted("the client has closed the connection"))
    }

    /// Writes a server-sent event with one line of data.
    pub async fn write_event(&self, data: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(data)?;
        self.write(format!("data: {json}\n\n")).await
    }
}

// === impl Written ===

impl Stream for Written {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let written = match &mut self.writing {
            Some(writing) => writing.as_mut().poll(context),
            None => Poll::Pending,
        };
        if let Poll::Ready(ended) = written {
            self.writing = None;
            self.failure = ended.err();
        }
        match self.receiver.poll_recv(context) {
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(Ok(chunk))),
            Poll::Ready(None) => Poll::Ready(self.failure.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }
}

//! Bodies of requests and responses, whole or in chunks.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::endpoint::fitting;
use crate::error::{Error, Result};

/// The body of a request or a response, pulled chunk by chunk.
pub struct Body {
    inner: BodyInner,
}

enum BodyInner {
    Full(Option<Bytes>),
    // Never locked: it makes a body `Sync`, so that a handler may lend its call to another
    // function.
    Stream(Mutex<Chunks>),
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

// === impl Body ===

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self {
            inner: BodyInner::Full(None),
        }
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            inner: BodyInner::Full(Some(bytes.into())),
        }
    }

    /// Chunks as they come.
    pub fn from_stream(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self {
            inner: BodyInner::Stream(Mutex::new(Box::pin(stream))),
        }
    }

    /// The next chunk, `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// All of it, at most `limit` bytes. One chunk is not copied.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` past the limit, and whatever reading fails with.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if first.len().max(all.len()) + chunk.len() > limit {
                return Err(Error::new(
                    "PAYLOAD_TOO_LARGE",
                    format!("the body is larger than {limit} bytes"),
                ));
            }
            if first.is_empty() {
                first = chunk;
                continue;
            }
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    /// All of it as JSON, whatever it says that it is; an endpoint reads what a client has sent with
    /// [`EndpointCall::json`](crate::EndpointCall::json), which looks at the content type too.
    ///
    /// # Errors
    /// `BAD_REQUEST` as there, for what is no JSON and for what does not fit `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes(usize::MAX).await?;
        let body: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::bad_request(format!("The body is no JSON: {error}.")))?;
        fitting(body, |wrong| {
            Error::bad_request(format!("The body is not what is expected: {wrong}"))
        })
    }

    /// All of it as text.
    ///
    /// # Errors
    /// `BAD_REQUEST` when it is no UTF-8.
    pub async fn text(self) -> Result<String> {
        let bytes = self.bytes(usize::MAX).await?;
        String::from_utf8(bytes.into())
            .map_err(|_| Error::bad_request("The body is no text in UTF-8."))
    }

    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        match &mut self.inner {
            BodyInner::Full(bytes) => Poll::Ready(bytes.take().map(Ok)),
            BodyInner::Stream(stream) => {
                let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
                stream.as_mut().poll_next(context)
            }
        }
    }

    /// The bytes, if the body is whole.
    pub(crate) fn into_full(self) -> Result<Bytes, Self> {
        match self.inner {
            BodyInner::Full(bytes) => Ok(bytes.unwrap_or_default()),
            BodyInner::Stream(_) => Err(self),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.inner {
            BodyInner::Full(_) => "Body::Full",
            BodyInner::Stream(_) => "Body::Stream",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_chunk_is_not_copied_and_several_are_joined() {
        let one = Bytes::from_static(b"one");
        let read = Body::full(one.clone()).bytes(3).await.unwrap();
        assert_eq!(read.as_ptr(), one.as_ptr());
        let body = |chunks: &[&'static [u8]]| {
            let chunks: Vec<_> = chunks.iter().map(|it| Ok(Bytes::from_static(it))).collect();
            Body::from_stream(futures_util::stream::iter(chunks))
        };
        assert_eq!(body(&[b"", b"o", b"", b"ne"]).bytes(3).await.unwrap(), one);
        let long = body(&[b"one", b"more"]).bytes(6).await.unwrap_err();
        assert_eq!(long.code(), Some("PAYLOAD_TOO_LARGE"));
        assert_eq!(Body::empty().bytes(0).await.unwrap(), "");
    }
}

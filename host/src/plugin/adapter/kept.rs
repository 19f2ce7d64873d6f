//! Streams of an instance: they keep it alive and their panics count.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use mortise_plugin_abi::stable::{RBox, ROption};
use mortise_plugin_abi::{self as abi, Verdict, Verdict_NE};
use mortise_plugin_api::ffi::{convert, stream};
use mortise_plugin_api::{Body, ChunkStream, GuardVerdict, Response, Result};
use tracing::Span;

use crate::plugin::instance::Instance;

/// A stream and the instance that it is from.
struct Kept<S> {
    // Dropped before the instance: its drop is code of the library.
    stream: S,
    instance: Arc<Instance>,
}

/// A body that is written while it is sent: in the span of its request, also when it is dropped, so
/// that what the plugin logs names the request.
struct KeptBody {
    /// `None` only while it is dropped.
    body: Option<Body>,
    span: Span,
    instance: Arc<Instance>,
}

/// The chunks of a model's answer.
pub(super) fn chunks(instance: &Arc<Instance>, stream: ChunkStream) -> ChunkStream {
    ChunkStream::new(Kept {
        stream,
        instance: Arc::clone(instance),
    })
}

/// A response whose body may still come.
pub(super) fn response(instance: &Arc<Instance>, mut response: abi::Response) -> Response {
    let streamed = std::mem::replace(&mut response.stream, ROption::RNone);
    let response = convert::response_from_abi(response);
    match streamed {
        ROption::RNone => response,
        ROption::RSome(body) => response.with_stream(KeptBody {
            body: Some(stream::body_from_abi(body)),
            span: Span::current(),
            instance: Arc::clone(instance),
        }),
    }
}

/// A verdict, which may be a response.
pub(super) fn verdict(instance: &Arc<Instance>, verdict: Verdict_NE) -> Result<GuardVerdict> {
    match verdict.into_enum() {
        Ok(Verdict::Respond { response: crossed }) => {
            let crossed = RBox::into_inner(crossed);
            Ok(GuardVerdict::Respond(response(instance, crossed)))
        }
        Ok(other) => convert::known_verdict(other),
        Err(newer) => convert::verdict_from_abi(newer.into_inner()),
    }
}

// === impl Kept ===

impl<T, S: Stream<Item = Result<T>> + Unpin> Stream for Kept<S> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let inside = self.instance.enter();
        let polled = Pin::new(&mut self.stream).poll_next(context);
        drop(inside);
        if let Poll::Ready(Some(chunk)) = &polled {
            self.instance.note("stream", chunk);
        }
        polled
    }
}

// === impl KeptBody ===

impl Stream for KeptBody {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let _in_request = this.span.enter();
        let inside = this.instance.enter();
        let polled = pin!(body.next()).poll(context);
        drop(inside);
        if let Poll::Ready(Some(chunk)) = &polled {
            this.instance.note("body", chunk);
            if let Err(error) = chunk {
                // The head was sent: a broken connection is all that can still tell.
                tracing::error!(plugin = %this.instance.name(), %error, "the plugin's body failed");
            }
        }
        polled
    }
}

impl Drop for KeptBody {
    fn drop(&mut self) {
        let _in_request = self.span.enter();
        drop(self.body.take());
    }
}

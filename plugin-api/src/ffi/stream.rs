//! Streams that cross: chunks of a model, chunks of a body; both ways.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::abi::stable::{ContextExt, FfiContext, FfiPoll, ROption, TD_Opaque};
use super::abi::{self, AbiBytes, AbiResult, BodyObject, ChunkStreamObject};
use super::convert;
use super::guard::{self, Safe, guarded};
use crate::body::Body;
use crate::error::{Error, Result};
use crate::model::{Chunk, ChunkStream};
use crate::runtime;

/// Chunks of this side, for the other.
pub fn chunks_to_abi(stream: ChunkStream) -> ChunkStreamObject {
    abi::ChunkStream_TO::from_value(OwnChunks(Some(Safe::new(stream))), TD_Opaque)
}

/// Chunks of the other side.
pub fn chunks_from_abi(stream: ChunkStreamObject) -> ChunkStream {
    ChunkStream::new(CrossedChunks(Some(stream)))
}

/// A body of this side, for the other.
pub fn body_to_abi(body: Body) -> BodyObject {
    abi::Body_TO::from_value(OwnBody(Some(Safe::new(body))), TD_Opaque)
}

/// A body of the other side.
pub fn body_from_abi(body: BodyObject) -> Body {
    Body::from_stream(CrossedBody(Some(body)))
}

// A stream that has ended or failed is dropped at once and never polled again.

struct OwnChunks(Option<Safe<ChunkStream>>);
struct OwnBody(Option<Safe<Body>>);
struct CrossedChunks(Option<ChunkStreamObject>);
struct CrossedBody(Option<BodyObject>);

// The objects are owned pointers: moving one moves nothing that points into it.
impl Unpin for CrossedChunks {}
impl Unpin for CrossedBody {}

impl abi::ChunkStream for OwnChunks {
    fn poll_next(
        &mut self,
        context: &mut FfiContext<'_>,
    ) -> FfiPoll<ROption<AbiResult<abi::Chunk_NE>>> {
        poll_own(
            &mut self.0,
            context,
            |stream, context| Pin::new(stream).poll_next(context),
            convert::chunk_to_abi,
        )
    }
}

impl abi::Body for OwnBody {
    fn poll_chunk(
        &mut self,
        context: &mut FfiContext<'_>,
    ) -> FfiPoll<ROption<AbiResult<AbiBytes>>> {
        poll_own(&mut self.0, context, Body::poll_chunk, |chunk| {
            Ok(chunk.into())
        })
    }
}

fn poll_own<S, T, U>(
    source: &mut Option<Safe<S>>,
    context: &mut FfiContext<'_>,
    poll: impl FnOnce(&mut S, &mut Context<'_>) -> Poll<Option<Result<T>>>,
    convert: impl FnOnce(T) -> Result<U>,
) -> FfiPoll<ROption<AbiResult<U>>> {
    let Some(stream) = source.as_mut() else {
        return FfiPoll::Ready(ROption::RNone);
    };
    let polled = guarded(|| {
        runtime::entered(|| context.with_context(|context| poll(stream.get_mut(), context)))
    });
    match polled {
        Ok(Poll::Pending) => FfiPoll::Pending,
        Ok(Poll::Ready(Some(Ok(value)))) => {
            FfiPoll::Ready(ROption::RSome(guard::call(|| convert(value))))
        }
        Ok(Poll::Ready(None)) => {
            *source = None;
            FfiPoll::Ready(ROption::RNone)
        }
        Ok(Poll::Ready(Some(Err(error)))) | Err(error) => {
            *source = None;
            FfiPoll::Ready(ROption::RSome(AbiResult::RErr(convert::error_to_abi(
                error,
            ))))
        }
    }
}

impl Stream for CrossedChunks {
    type Item = Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_crossed(
            &mut self.get_mut().0,
            context,
            abi::ChunkStream_TO::poll_next,
            convert::chunk_from_abi,
        )
    }
}

impl Stream for CrossedBody {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_crossed(
            &mut self.get_mut().0,
            context,
            abi::Body_TO::poll_chunk,
            |chunk| Ok(chunk.into_bytes()),
        )
    }
}

fn poll_crossed<S, T, U>(
    source: &mut Option<S>,
    context: &mut Context<'_>,
    poll: impl FnOnce(&mut S, &mut FfiContext<'_>) -> FfiPoll<ROption<AbiResult<T>>>,
    convert: impl FnOnce(T) -> Result<U>,
) -> Poll<Option<Result<U>>> {
    let Some(stream) = source.as_mut() else {
        return Poll::Ready(None);
    };
    let item = match context.with_ffi_context(|context| poll(stream, context)) {
        FfiPoll::Pending => return Poll::Pending,
        FfiPoll::Ready(ROption::RNone) => None,
        FfiPoll::Ready(ROption::RSome(item)) => {
            Some(convert::result_from_abi(item).and_then(convert))
        }
        FfiPoll::Panicked => Some(Err(Error::new(Error::PANIC, "a stream panicked"))),
    };
    if !matches!(item, Some(Ok(_))) {
        *source = None;
    }
    Poll::Ready(item)
}

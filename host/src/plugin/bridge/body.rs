//! Streams of the host that plugins pull: request bodies, chunks of models.

use futures_util::TryStreamExt as _;
use mortise_plugin_abi::stable::{FfiContext, FfiPoll, ROption, TD_Opaque};
use mortise_plugin_abi::{
    self as abi, AbiBytes, AbiResult, Body_TO, BodyObject, Chunk_NE, ChunkStream_TO,
    ChunkStreamObject,
};
use mortise_plugin_api::ffi::stream;
use mortise_plugin_api::{Body, ChunkStream};
use tokio::runtime::Handle;

use super::future::{entered, not_its_own};

/// A stream that is guarded already, with the host's runtime at hand.
struct OnHost<S> {
    /// `None` only while it is dropped.
    stream: Option<S>,
    runtime: Handle,
}

pub(in crate::plugin) fn body_object(body: Body, runtime: &Handle) -> BodyObject {
    Body_TO::from_value(OnHost::new(stream::body_to_abi(body), runtime), TD_Opaque)
}

pub(super) fn chunks_object(chunks: ChunkStream, runtime: &Handle) -> ChunkStreamObject {
    let chunks = ChunkStream::new(chunks.map_err(not_its_own));
    let chunks = OnHost::new(stream::chunks_to_abi(chunks), runtime);
    ChunkStream_TO::from_value(chunks, TD_Opaque)
}

// === impl OnHost ===

impl<S> OnHost<S> {
    fn new(stream: S, runtime: &Handle) -> Self {
        Self {
            stream: Some(stream),
            runtime: runtime.clone(),
        }
    }

    fn poll<T>(&mut self, poll: impl FnOnce(&mut S) -> FfiPoll<ROption<T>>) -> FfiPoll<ROption<T>> {
        let Some(stream) = &mut self.stream else {
            return FfiPoll::Ready(ROption::RNone);
        };
        entered(&self.runtime, || poll(stream))
    }
}

impl<S> Drop for OnHost<S> {
    fn drop(&mut self) {
        let stream = self.stream.take();
        entered(&self.runtime, || drop(stream));
    }
}

impl abi::Body for OnHost<BodyObject> {
    fn poll_chunk(
        &mut self,
        context: &mut FfiContext<'_>,
    ) -> FfiPoll<ROption<AbiResult<AbiBytes>>> {
        self.poll(|body| body.poll_chunk(context))
    }
}

impl abi::ChunkStream for OnHost<ChunkStreamObject> {
    fn poll_next(&mut self, context: &mut FfiContext<'_>) -> FfiPoll<ROption<AbiResult<Chunk_NE>>> {
        self.poll(|chunks| chunks.poll_next(context))
    }
}

//! Models that a library brings; their output is pulled.

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, ROption, RString};
use async_ffi::{FfiContext, FfiPoll};

use crate::{AbiBytes, AbiFuture, AbiResult, RunObject};

pub type ModelObject = Model_TO<'static, RBox<()>>;
pub type ChunkStreamObject = ChunkStream_TO<'static, RBox<()>>;

/// A piece of a model's answer.
#[repr(u8)]
#[derive(StableAbi, Debug, Clone)]
#[sabi(kind(WithNonExhaustive(
    size = [usize; 16],
    traits(Send, Sync, Debug, Clone),
)))]
pub enum Chunk {
    Text {
        delta: RString,
    },
    Reasoning {
        delta: RString,
        visibility: RString,
    },
    ToolCallArguments {
        call_id: RString,
        delta: RString,
    },
    /// Any chunk in its JSON form.
    Json {
        json: RString,
    },
}

/// A model.
#[sabi_trait]
pub trait Model: Send + Sync {
    /// `ModelInfo` as JSON; asked once, at load.
    fn info(&self) -> RString;
    /// Takes a `ModelRequest` as JSON.
    #[sabi(last_prefix_field)]
    fn generate(
        &self,
        run: RunObject,
        request: AbiBytes,
    ) -> AbiFuture<AbiResult<ChunkStreamObject>>;
}

/// The chunks of one answer; dropping the stream cancels the call.
#[sabi_trait]
pub trait ChunkStream: Send {
    #[sabi(last_prefix_field)]
    fn poll_next(&mut self, context: &mut FfiContext<'_>) -> FfiPoll<ROption<AbiResult<Chunk_NE>>>;
}

//! What a plugin may ask of the host, of the whole host and of the run at hand.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RArc, RStr, RString};

use crate::{AbiBytes, AbiFuture, AbiResult, ChunkStreamObject, Event_NE};

pub type HostObject = HostServices_TO<'static, RArc<()>>;
pub type RunObject = RunServices_TO<'static, RArc<()>>;

/// Services of the host for one plugin instance.
///
/// Named calls carry JSON: they are rare, and new ones need no new entry here. A host that does
/// not know a name answers `NOT_IMPLEMENTED`.
#[sabi_trait]
pub trait HostServices: Send + Sync {
    fn instance(&self) -> RStr<'_>;
    fn now_millis(&self) -> u64;
    fn sleep(&self, millis: u64) -> AbiFuture<()>;
    /// Adds to a counter (`kind` 0), sets a gauge (1) or records into a histogram (2).
    fn metric(&self, kind: u8, name: RStr<'_>, value: f64, labels: RStr<'_>);
    #[sabi(last_prefix_field)]
    fn call(&self, service: RStr<'_>, request: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>>;
}

/// Services for one run, one tool call, or one stage of a hook.
#[sabi_trait]
pub trait RunServices: Send + Sync {
    /// `RunInfo` as JSON.
    fn info(&self) -> RString;
    /// Appends in program order; waits only while the run's queue is full.
    fn emit(&self, event: Event_NE) -> AbiFuture<AbiResult<()>>;
    fn is_cancelled(&self) -> bool;
    fn cancelled(&self) -> AbiFuture<()>;
    fn generate(
        &self,
        model: RStr<'_>,
        request: AbiBytes,
    ) -> AbiFuture<AbiResult<ChunkStreamObject>>;
    #[sabi(last_prefix_field)]
    fn call(&self, service: RStr<'_>, request: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>>;
}

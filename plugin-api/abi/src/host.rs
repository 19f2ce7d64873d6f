//! What a plugin may ask of the host, of the whole host and of the run at hand.

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::std_types::{RArc, RResult, RStr, RString};

use crate::{AbiBytes, AbiError, AbiFuture, AbiResult, ChunkStreamObject, Event_NE};

pub type HostObject = HostServices_TO<'static, RArc<()>>;
pub type RunObject = RunServices_TO<'static, RArc<()>>;

/// How much a key may take: of a window of time (`kind` 0), or of a bucket that fills (1).
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub kind: u8,
    pub max: u32,
    pub period_millis: u64,
}

/// What came of taking.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub is_allowed: bool,
    pub remaining: u32,
    pub retry_after_millis: u64,
    pub resets_at_millis: u64,
}

/// Services of the host for one plugin instance.
///
/// Named calls carry JSON: they are rare, and new ones need no new entry here. A host that does
/// not know a name answers `UNAVAILABLE`.
#[sabi_trait]
pub trait HostServices: Send + Sync {
    fn instance(&self) -> RStr<'_>;
    fn now_millis(&self) -> u64;
    fn sleep(&self, millis: u64) -> AbiFuture<()>;
    /// Adds to a counter (`kind` 0), sets a gauge (1) or records into a histogram (2). Labels are
    /// `key=value`, joined with commas; a backslash goes before each `,`, `=` and backslash in them.
    fn metric(&self, kind: u8, name: RStr<'_>, value: f64, labels: RStr<'_>);
    #[sabi(last_prefix_field)]
    fn call(&self, service: RStr<'_>, request: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>>;
    /// Takes `count` of what a key of this instance may take, at once.
    fn take(&self, key: RStr<'_>, limit: Limit, count: u32) -> AbiResult<Taken> {
        let _ = (key, limit, count);
        RResult::RErr(AbiError::unavailable("this host does not count"))
    }
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
    /// The context that the client sent, as JSON: it may be large, and most ask for `info` alone.
    fn context(&self) -> RString {
        RString::from("null")
    }
}

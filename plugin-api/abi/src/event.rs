//! What happened in a run, as it crosses.

use abi_stable::StableAbi;
use abi_stable::std_types::RString;

/// Deltas cross typed, since there are thousands of them; everything else crosses as JSON.
#[repr(u8)]
#[derive(StableAbi, Debug, Clone)]
#[sabi(kind(WithNonExhaustive(
    size = [usize; 24],
    traits(Send, Sync, Debug, Clone),
)))]
pub enum Event {
    TextDelta {
        message_id: RString,
        delta: RString,
        timestamp: u64,
    },
    ReasoningDelta {
        message_id: RString,
        visibility: RString,
        delta: RString,
        timestamp: u64,
    },
    /// Any event in its native JSON form, `type` included.
    Json { kind: RString, json: RString },
}

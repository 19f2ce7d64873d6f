//! The error that crosses.

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RString};

/// The result of everything that may fail on the other side.
pub type AbiResult<T> = RResult<T, AbiError>;

/// An error value; a panic crosses as one with the code `PANIC`.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, PartialEq, Eq)]
pub struct AbiError {
    /// A stable code, or empty for an error that the other side must not show to clients.
    pub code: RString,
    /// A sentence for people.
    pub message: RString,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// A JSON object with whatever else is known (`context`, `issues`, …), or empty.
    pub details: RString,
}

impl AbiError {
    /// The other side does not have what is asked for.
    pub fn unavailable(message: &str) -> Self {
        Self {
            code: "UNAVAILABLE".into(),
            message: message.into(),
            retryable: true,
            details: RString::new(),
        }
    }
}

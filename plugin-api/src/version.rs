//! Which versions this SDK speaks.

/// The version of the boundary: `major.minor` of `mortise-plugin-abi`.
pub const API_VERSION: &str = "1.0";

/// The version of this SDK.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

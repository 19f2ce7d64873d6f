//! What the tests over HTTP are written with: a real server, a client that reads streams frame by
//! frame, and the set-up of the conformance targets.
//!
//! The tests themselves are in `it/`. `cargo xtask fixture`, `soak` and `bench` use the same pieces.

mod abi_variants;
pub mod authz_matrix;
pub mod clients;
pub mod fixture;
mod http;
pub mod http2;
pub mod mcp;
pub mod metrics;
pub mod openapi;
mod outside;
mod places;
pub mod provider;
mod raw;
mod server;
pub mod soak;
mod sse;
mod stopwatch;
pub mod tokens;

pub use abi_variants::AbiVariant;
pub use http::{Reply, Request};
pub use http2::Http2;
pub use metrics::MetricsPage;
pub use outside::build_outside;
pub use places::{binary, plugin_dir, target_dir, workspace};
pub use raw::Raw;
pub use server::{Ended, Server, ServerBuilder};
pub use sse::{Frame, SseReader};
pub use stopwatch::Stopwatch;

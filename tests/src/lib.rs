//! What the tests over HTTP are written with: a real server, a client that reads streams frame by
//! frame, and the set-up of the conformance targets.
//!
//! The tests themselves are in `it/`. `cargo xtask fixture`, `soak` and `bench` use the same pieces.

mod abi_variants;
pub mod authz_matrix;
pub mod fixture;
mod http;
mod outside;
mod places;
mod server;
pub mod soak;
mod sse;
pub mod tokens;

pub use abi_variants::AbiVariant;
pub use http::{Reply, Request};
pub use outside::build_outside;
pub use places::{binary, plugin_dir, target_dir, workspace};
pub use server::{Ended, Server, ServerBuilder};
pub use sse::{Frame, SseReader};

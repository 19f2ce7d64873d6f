//! The Mortise agent server, as a crate.

mod clock;
pub mod config;
mod ids;
mod pipeline;
mod plugin;
mod problem;
mod runtime;
mod schema;
mod shutdown;
mod store;

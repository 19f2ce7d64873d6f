//! The Mortise agent server, as a crate.

pub mod config;
mod pipeline;
mod plugin;
mod problem;
mod runtime;
mod schema;

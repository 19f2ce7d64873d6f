//! The Mortise agent server, as a crate.

mod app;
pub mod cli;
mod clock;
pub mod config;
mod http;
mod ids;
mod ledger;
mod pipeline;
mod plugin;
mod problem;
mod runtime;
mod schema;
mod shutdown;
mod store;

pub use self::app::{App, AppBuilder, Server, StartError};

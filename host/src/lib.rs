//! The Mortise agent server, as a crate.
//!
//! [`App`] is where a program that embeds it begins: agents are run from Rust, over HTTP in any
//! framework, or both, with plugins that are linked in or loaded. `host/examples` has a small
//! program for each; `docs/embedding.md` is the guide.

mod app;
pub mod cli;
mod clock;
pub mod config;
mod http;
mod ids;
mod jobs;
mod ledger;
mod metrics;
mod pipeline;
mod plugin;
mod problem;
mod runtime;
mod schema;
mod shutdown;
mod store;

pub use self::app::{
    App, AppBuilder, BuiltApp, Conversation, Decision, PendingResult, RunEvents, RunInput,
    RunOptions, RunStream, Server, StartError,
};
pub use self::http::{HttpBody, HttpRouter, HttpService};
pub use mortise_plugin_api as plugin_api;
pub use mortise_plugin_api::{Error, Event, Item, NumberedEvent, Principal, Result, RunResult};

/// The code in the guide compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;

//! The SDK of Mortise plugins: agents, models, tools, hooks and HTTP endpoints in plain async Rust,
//! shipped as one library.
//!
//! A whole plugin, with a tool and a public endpoint:
//!
//! ```
//! use mortise_plugin_api::prelude::*;
//!
//! /// The `config` table of the plugin's entry in `config.toml`.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {
//!     /// How many sides a die has.
//!     sides: u32,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { sides: 6 }
//!     }
//! }
//!
//! struct Dice {
//!     sides: u32,
//!     host: Host,
//! }
//!
//! impl Plugin for Dice {
//!     type Config = Config;
//!     const NAME: &'static str = "dice";
//!     const VERSION: &'static str = "0.1.0"; // usually env!("CARGO_PKG_VERSION")
//!
//!     fn create(config: Config, host: Host) -> Result<Self> {
//!         Ok(Self { sides: config.sides, host })
//!     }
//!
//!     fn register(&self, registrar: &mut Registrar) {
//!         let sides = self.sides;
//!         registrar
//!             .tool(Roll { sides, host: self.host.clone() })
//!             .mount(Mount::at_base().endpoint(
//!                 Endpoint::get("/dice", move |_| async move {
//!                     Response::json(&json!({ "sides": sides }))
//!                 })
//!                 .public(),
//!             ));
//!     }
//! }
//!
//! struct Roll {
//!     sides: u32,
//!     host: Host,
//! }
//!
//! impl Tool for Roll {
//!     fn info(&self) -> ToolInfo {
//!         ToolInfo::new::<NoConfig>("roll", "Rolls a die")
//!     }
//!
//!     async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
//!         let rolled = self.host.now_millis() % u64::from(self.sides) + 1;
//!         Ok(json!({ "rolled": rolled }))
//!     }
//! }
//!
//! export_plugin!(Dice);
//! ```
//!
//! Its `Cargo.toml`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [features]
//! default = ["dylib"] # export_plugin! emits the library's header under this feature
//! dylib = []
//!
//! [dependencies]
//! mortise-plugin-api = { path = "…/mortise/plugin-api" } # of a checkout; it is in no registry yet
//! schemars = "1"
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! `cargo build --release`, copy `target/release/lib*.so` into the server's plugin folder, and
//! name it in `config.toml`; or, while you write it, `mortise serve --plugin target/debug/libdice.so`.
//!
//! # What there is
//!
//! | to offer | implement or build |
//! |---|---|
//! | an agent whose loop is Rust | [`Agent`] |
//! | a model | [`Model`] |
//! | a tool | [`Tool`] |
//! | tools that come and go | [`Toolset`] |
//! | guards, event filters, observers | [`Hook`] |
//! | HTTP routes | [`Mount`] and [`Endpoint`] |
//!
//! [`Host`] is what a plugin may ask of the server, [`RunContext`] what it may ask of the run at
//! hand. Every async function runs with a tokio runtime of the library's own at hand, so `tokio`
//! and `reqwest` just work. A panic is contained: the call fails, the server goes on; so build
//! with `panic = "unwind"`, the default. `tracing` events become log lines of the server.
//!
//! The feature `fetch` adds `Fetcher`, for addresses that clients name, the feature `schema` JSON
//! Schema, and the feature `template` texts with values filled in. The feature `testing` adds a fake
//! host, so that a plugin can be tested without a server: see the module `testing`. This page shows
//! all of them when it is built with `--all-features`.

// `unsafe` stands in `ffi` and in what `export_plugin!` expands to, nowhere else.
#![deny(unsafe_code)]

mod agent;
mod backend;
mod body;
mod door;
mod endpoint;
mod error;
mod event;
mod event_stream;
mod export;
#[cfg(feature = "fetch")]
mod fetch;
#[doc(hidden)]
pub mod ffi;
mod hook;
mod host;
mod job;
mod limit;
mod message;
mod metric;
mod model;
mod mount;
mod name;
mod openapi;
mod plugin;
pub mod pointer;
mod principal;
mod problem;
mod prompt;
mod queue;
mod request;
mod response;
mod route_error;
mod run;
mod run_events;
mod run_guard;
mod run_request;
mod run_status;
mod runtime;
#[cfg(feature = "schema")]
pub mod schema;
mod session;
pub mod strict;
mod sub_agent;
#[cfg(feature = "template")]
mod template;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod time;
mod tool;
mod toolset;
mod transcript;
mod version;

pub use self::agent::{Agent, AgentInfo, AgentSummary, ToolSummary};
pub use self::body::Body;
pub use self::door::{Door, PrincipalConfig, Secret};
pub use self::endpoint::{Endpoint, EndpointCall, EndpointInfo, with_state};
pub use self::error::{Error, Issue, Result};
pub use self::event::{
    ApprovalState, ApprovalStatus, Event, RunResult, TerminationReason, ToolCallRef, ToolErrorKind,
    ToolTarget,
};
pub use self::event_stream::EventWriter;
#[cfg(feature = "fetch")]
pub use self::fetch::Fetcher;
pub use self::hook::{
    BeforeTool, Completed, EventVerdict, GuardVerdict, Hook, HookInfo, Observation, ObservedPhase,
    ObservedRequest, OnError, OutputErrorAnswer, OutputFailed, ResponseHead, RunInput, Stage,
    StepChange, StepEndAnswer, StepEnded, StepInput, ToolCall, ToolCallEnded, ToolCallFailed,
    ToolErrorAnswer,
};
pub use self::host::Host;
pub use self::job::{Job, JobError, JobEvent, JobQuery, JobRequest, JobState, ResultPolicy};
pub use self::limit::{Limit, Taken};
pub use self::message::{
    Content, FinishReason, Item, Message, ModelResponse, Part, ToolCallItem, TotalUsage, Usage,
    Visibility,
};
pub use self::metric::MetricKind;
pub use self::model::{
    Chunk, ChunkStream, Model, ModelCapabilities, ModelInfo, ModelRequest, StructuredOutput,
    ToolChoice, ToolSpec,
};
pub use self::mount::{Access, MethodMismatch, Mount, MountInfo, PathPrefix, Prefix, Slashes};
pub use self::name::{AgentName, InstanceName};
pub use self::openapi::{Operation, path_names};
pub use self::plugin::{NoConfig, Plugin, Registrar};
pub use self::principal::Principal;
pub use self::problem::Problem;
pub use self::prompt::Prompt;
pub use self::queue::{Queue, Turn};
pub use self::request::{Request, RequestKind, form_pairs, is_token};
pub use self::response::{BodyWriter, Response};
pub use self::route_error::{RouteError, RouteRequest};
pub use self::run::{RunContext, RunInfo, ToolOutcome};
pub use self::run_events::RunEvents;
pub use self::run_guard::RunGuard;
pub use self::run_request::RunRequest;
pub use self::run_status::{Decided, NumberedEvent, RunQuery, RunStatus, WaitingApproval};
pub use self::session::{Session, SessionOwner, VisibleTo};
pub use self::sub_agent::SubAgentEvent;
#[cfg(feature = "template")]
pub use self::template::{Template, TemplateError};
pub use self::text::TextWriter;
pub use self::time::{Span, rfc3339};
pub use self::tool::{Approval, ApprovalDecision, Tool, ToolErrorMode, ToolInfo, read_arguments};
pub use self::toolset::Toolset;
pub use self::transcript::{RunEnd, Transcript, TranscriptCall};
pub use self::version::{API_VERSION, SDK_VERSION};

pub use {bytes, schemars, serde, serde_json, tracing};

/// What a plugin's file usually needs.
pub mod prelude {
    pub use bytes::Bytes;
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{self, Value, json};
    pub use tracing;

    pub use crate::{
        Access, Agent, AgentInfo, ApprovalDecision, BeforeTool, Body, BodyWriter, Chunk,
        ChunkStream, Completed, Content, Endpoint, EndpointCall, Error, Event, EventVerdict,
        EventWriter, FinishReason, GuardVerdict, Hook, HookInfo, Host, Issue, Item, Job, JobEvent,
        JobQuery, JobRequest, JobState, Limit, Message, MethodMismatch, Model, ModelCapabilities,
        ModelInfo, ModelRequest, ModelResponse, Mount, NoConfig, Observation, ObservedPhase,
        ObservedRequest, OnError, OutputErrorAnswer, OutputFailed, Part, Plugin, Prefix, Principal,
        Problem, Registrar, Request, RequestKind, Response, ResponseHead, Result, RouteError,
        RunContext, RunEvents, RunInfo, RunInput, RunQuery, RunRequest, RunResult, Secret, Slashes,
        Stage, StepChange, StepEndAnswer, StepEnded, StepInput, StructuredOutput, Taken, Tool,
        ToolCall, ToolCallEnded, ToolCallFailed, ToolCallItem, ToolChoice, ToolErrorAnswer,
        ToolErrorMode, ToolInfo, ToolOutcome, ToolSpec, Toolset, Usage, export_plugin,
        read_arguments,
    };
}

/// The code in the guides compiles.
#[cfg(all(doctest, feature = "testing"))]
mod guides {
    #[doc = include_str!("../../docs/writing-a-plugin.md")]
    struct WritingAPlugin;
    #[doc = include_str!("../../docs/hooks.md")]
    struct Hooks;
    #[doc = include_str!("../../docs/jobs.md")]
    struct Jobs;
}

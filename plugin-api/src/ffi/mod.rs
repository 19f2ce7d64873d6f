//! The adapters between the author's traits and the types that cross. Not for authors: the host
//! uses the conversions from its side of the boundary.
//!
//! Whatever calls into an author's code, polls it or drops it does so under [`guard`]: a panic
//! that reached the boundary would end the whole process.
#![allow(
    clippy::allow_attributes,
    missing_docs,
    missing_debug_implementations,
    reason = "for the host alone; the types that cross document themselves"
)]

pub mod convert;
pub mod guard;
pub mod labels;
pub mod metadata;
pub mod stream;
pub mod telemetry;

mod agent;
mod context;
mod hook;
mod model;
mod mount;
mod plugin;
mod tool;

pub use mortise_plugin_abi as abi;

pub(crate) use self::agent::DynAgent;
pub(crate) use self::context::CrossedRequest;
pub(crate) use self::hook::DynHook;
pub use self::hook::ObservationJson;
pub use self::metadata::Manifest;
pub(crate) use self::model::DynModel;
pub use self::plugin::{config_schema, create};
pub(crate) use self::tool::DynTool;

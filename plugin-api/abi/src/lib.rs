//! The types that cross between the Mortise host and its plugins, and nothing else.
//!
//! This is the only crate that names `abi_stable`. Its version **is** the ABI version: a minor
//! release only appends (methods after the last prefix field, with a default body; variants of
//! non-exhaustive enums), a major release means that every plugin must be rebuilt. Authors never
//! see these types: they write against `mortise-plugin-api`. How the ABI may grow is written in
//! `docs/abi.md`; `tests/layout.rs` shows every change as a diff.
#![allow(
    clippy::allow_attributes,
    clippy::needless_lifetimes,
    clippy::pedantic,
    clippy::mem_forget,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    missing_debug_implementations,
    missing_docs,
    non_camel_case_types,
    non_local_definitions,
    unsafe_code,
    unreachable_pub,
    unused_qualifications,
    reason = "expanded by the abi_stable macros"
)]

mod agent;
mod bytes;
mod error;
mod event;
mod hook;
mod host;
mod model;
mod mount;
mod plugin;
mod request;
mod root;
mod telemetry;
mod tool;

pub use self::agent::{Agent, Agent_TO, AgentObject};
pub use self::bytes::AbiBytes;
pub use self::error::{AbiError, AbiResult};
pub use self::event::{Event, Event_NE};
pub use self::hook::{
    EventAnswer, EventAnswer_NE, Hook, Hook_TO, HookObject, Observation, Observation_NE, Verdict,
    Verdict_NE,
};
pub use self::host::{
    HostObject, HostServices, HostServices_TO, Limit, RunObject, RunServices, RunServices_TO, Taken,
};
pub use self::model::{
    Chunk, Chunk_NE, ChunkStream, ChunkStream_TO, ChunkStreamObject, Model, Model_TO, ModelObject,
};
pub use self::mount::{Mount, Mount_TO, MountObject};
pub use self::plugin::{Plugin, Plugin_TO, PluginObject};
pub use self::request::{
    Address, Body, Body_TO, BodyObject, Header, HeaderView, Request, Request_TO, RequestObject,
    Response,
};
pub use self::root::{CreateRequest, PluginModule, PluginModule_Ref};
pub use self::telemetry::{
    Callsite, Field, FieldValue, HOST_SPAN, NO_SPAN, Telemetry, Telemetry_TO, TelemetryObject,
};
pub use self::tool::{Tool, Tool_TO, ToolObject};

/// A future that crosses; `'static`, so that either side may hold it as long as it wants.
pub type AbiFuture<T> = async_ffi::FfiFuture<T>;

/// What abi_stable and async-ffi offer that the adapters on both sides need.
pub mod stable {
    pub use abi_stable::{
        StableAbi,
        abi_stability::abi_checking::{
            AbiInstability, AbiInstabilityError, AbiInstabilityErrors, CheckingGlobals,
            ExpectedFound, check_layout_compatibility_with_globals,
        },
        library::{
            __call_root_module_loader as call_root_module_loader, AbiHeaderRef, CheckTypeLayout,
            IntoRootModuleResult, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL,
            RootModule, RootModuleResult,
        },
        nonexhaustive_enum::NonExhaustive,
        prefix_type::{PrefixTypeTrait, WithMetadata},
        sabi_trait::TD_Opaque,
        std_types::{
            RArc, RBox, RErr, RNone, ROk, ROption, RResult, RSlice, RSome, RStr, RString, RVec,
        },
        type_layout::{TLFieldOrFunction, TypeLayout},
    };
    pub use async_ffi::{ContextExt, FfiContext, FfiFuture, FfiPoll, FutureExt};
}

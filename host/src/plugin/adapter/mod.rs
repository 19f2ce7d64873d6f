//! What a library offers, as the plain traits of [`capability`](super::capability).
//!
//! Every adapter keeps its instance, so that an instance outlives its calls and streams. What a
//! capability says of itself is asked once, here.

mod agent;
mod hook;
mod kept;
mod model;
mod mount;
mod tool;
mod toolset;

use std::sync::Arc;

use mortise_plugin_abi::stable::RString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(super) use self::agent::AgentAdapter;
pub(super) use self::hook::HookAdapter;
pub(super) use self::model::ModelAdapter;
pub(super) use self::mount::MountAdapter;
pub(super) use self::tool::ToolAdapter;
pub(super) use self::toolset::ToolsetAdapter;

use super::error::LoadError;
use super::instance::Instance;

/// What crosses instead of an info when the author's code panicked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Panicked {
    error: String,
}

/// Reads what a capability says of itself.
pub(super) fn info<T: DeserializeOwned>(
    instance: &str,
    kind: &'static str,
    text: &RString,
) -> Result<T, LoadError> {
    if let Ok(Panicked { error }) = serde_json::from_str(text) {
        return Err(LoadError::Panicked {
            instance: instance.to_owned(),
            place: format!("the info of {kind}"),
            message: error,
        });
    }
    serde_json::from_str(text).map_err(|error| LoadError::Told {
        instance: instance.to_owned(),
        message: format!("the info of {kind} is not readable: {error}"),
    })
}

/// Makes the adapters of one kind.
pub(super) fn adapters<O, A>(
    instance: &Arc<Instance>,
    objects: impl IntoIterator<Item = O>,
    adapter: impl Fn(O, Arc<Instance>) -> Result<A, LoadError>,
) -> Result<Vec<A>, LoadError> {
    objects
        .into_iter()
        .map(|object| adapter(object, Arc::clone(instance)))
        .collect()
}

//! One instance of a plugin.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RVec};

use crate::{AbiFuture, AbiResult, AgentObject, HookObject, ModelObject, MountObject, ToolObject};

pub type PluginObject = Plugin_TO<'static, RBox<()>>;

/// An instance and its capabilities; each list is asked for once, after `create`. That of the tools
/// is asked for again when an instance that has toolsets says `tools.changed`.
#[sabi_trait]
pub trait Plugin: Send + Sync {
    fn agents(&self) -> RVec<AgentObject>;
    fn models(&self) -> RVec<ModelObject>;
    fn tools(&self) -> RVec<ToolObject>;
    fn hooks(&self) -> RVec<HookObject>;
    fn mounts(&self) -> RVec<MountObject>;
    fn start(&self) -> AbiFuture<AbiResult<()>>;
    fn shutdown(&self) -> AbiFuture<AbiResult<()>>;
    /// The host's log filter changed: ask again which callsites are wanted.
    #[sabi(last_prefix_field)]
    fn log_filter_changed(&self);
    /// Whether its tools may change.
    fn has_toolsets(&self) -> bool {
        false
    }
}

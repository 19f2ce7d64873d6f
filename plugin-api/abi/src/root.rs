//! The root module: what a library exports.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RString;

use crate::{AbiBytes, AbiResult, HostObject, PluginObject, TelemetryObject};

/// What the host gives a new instance.
#[repr(C)]
#[derive(StableAbi)]
pub struct CreateRequest {
    /// The instance name from the configuration.
    pub instance: RString,
    /// The instance's configuration as JSON, already checked against the schema.
    pub config: AbiBytes,
    pub host: HostObject,
    pub telemetry: TelemetryObject,
}

/// The functions of a library, in the order in which the host calls them.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    /// The JSON Schema of the configuration.
    pub config_schema: extern "C" fn() -> RString,
    /// Makes an instance; pure, its effects belong in `start`.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(CreateRequest) -> AbiResult<PluginObject>,
}

impl RootModule for PluginModule_Ref {
    abi_stable::declare_root_module_statics! {PluginModule_Ref}

    const BASE_NAME: &'static str = "mortise_plugin";
    const NAME: &'static str = "mortise_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

//! The plugin itself: what a library's root module does.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::abi::stable::{RString, RVec, TD_Opaque};
use super::abi::{
    self, AbiFuture, AbiResult, AgentObject, CreateRequest, HookObject, ModelObject, MountObject,
    PluginObject, ToolObject,
};
use super::context::CrossedHost;
use super::guard::{self, Safe};
use super::{agent, convert, hook, model, mount, telemetry, tool};
use crate::host::Host;
use crate::plugin::{Plugin, Registrar, schema_of};
use crate::runtime::Instance;

/// The root module's `config_schema`.
pub extern "C" fn config_schema<P: Plugin>() -> RString {
    guard::install_panic_hook(P::NAME);
    info_text(schema_of::<P::Config>)
}

/// The root module's `create`.
pub extern "C" fn create<P: Plugin>(request: CreateRequest) -> AbiResult<PluginObject> {
    guard::install_panic_hook(P::NAME);
    guard::call(|| {
        let CreateRequest {
            instance,
            config,
            host,
            telemetry,
        } = request;
        telemetry::install(telemetry);
        let instance = instance.into_string();
        let host = Host::new(Arc::new(CrossedHost {
            object: host,
            instance,
        }));
        // A value: lines and columns would be those of a text that nobody has written.
        let config = serde_json::from_slice(config.as_slice())?;
        let config: P::Config = crate::plugin::read_config(config)?;
        // Counted before the author's code runs: that may start the image's runtime already.
        let running = Instance::new();
        let plugin = crate::runtime::entered(|| P::create(config, host.clone()))?;
        let mut registrar = Registrar::new(host);
        guard::guarded(|| crate::runtime::entered(|| plugin.register(&mut registrar)))
            .map_err(|panic| panic.with_context("call", "register"))?;
        let adapter = Adapter {
            plugin: Safe::new(Arc::new(plugin)),
            registrar: Safe::new(registrar),
            _running: running,
        };
        Ok(abi::Plugin_TO::from_value(adapter, TD_Opaque))
    })
}

/// The JSON of what an author's `info` says; empty when it panics, which the host refuses.
pub(super) fn info_text<T: Serialize>(info: impl FnOnce() -> T) -> RString {
    guard::guarded(|| convert::to_json_text(&info()))
        .and_then(|text| text)
        .unwrap_or_else(|error| {
            let refused: Value = serde_json::json!({ "error": error.message() });
            refused.to_string().into()
        })
}

struct Adapter<P> {
    plugin: Safe<Arc<P>>,
    registrar: Safe<Registrar>,
    // Last: it may stop the runtime that the plugin's drop still uses.
    _running: Instance,
}

impl<P: Plugin> abi::Plugin for Adapter<P> {
    fn agents(&self) -> RVec<AgentObject> {
        let Registrar { agents, host, .. } = &*self.registrar;
        agents
            .iter()
            .map(|own| agent::to_abi(Arc::clone(own), host.clone()))
            .collect()
    }

    fn models(&self) -> RVec<ModelObject> {
        let Registrar { models, host, .. } = &*self.registrar;
        models
            .iter()
            .map(|own| model::to_abi(Arc::clone(own), host.clone()))
            .collect()
    }

    fn tools(&self) -> RVec<ToolObject> {
        let registrar = &*self.registrar;
        let tools = registrar.all_tools().into_iter();
        tools
            .map(|own| tool::to_abi(own, registrar.host.clone()))
            .collect()
    }

    fn hooks(&self) -> RVec<HookObject> {
        let Registrar { hooks, host, .. } = &*self.registrar;
        hooks
            .iter()
            .map(|own| hook::to_abi(Arc::clone(own), host.clone()))
            .collect()
    }

    fn mounts(&self) -> RVec<MountObject> {
        self.registrar
            .mounts
            .iter()
            .map(|own| mount::to_abi(Arc::clone(own)))
            .collect()
    }

    fn start(&self) -> AbiFuture<AbiResult<()>> {
        let plugin = Arc::clone(&self.plugin);
        guard::future(Box::pin(async move { plugin.start().await }), Ok)
    }

    fn shutdown(&self) -> AbiFuture<AbiResult<()>> {
        let plugin = Arc::clone(&self.plugin);
        guard::future(Box::pin(async move { plugin.shutdown().await }), Ok)
    }

    fn log_filter_changed(&self) {
        telemetry::filter_changed();
    }

    fn has_toolsets(&self) -> bool {
        !self.registrar.toolsets.is_empty()
    }
}

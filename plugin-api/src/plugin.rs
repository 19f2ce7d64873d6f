//! The plugin itself: one type, its configuration, and what it registers.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::ffi;
use crate::hook::Hook;
use crate::host::Host;
use crate::model::Model;
use crate::mount::Mount;
use crate::pointer;
use crate::tool::{Tool, ToolInfo};
use crate::toolset::Toolset;

/// A plugin: one instance of a library, with its configuration.
///
/// The host calls [`create`](Self::create) and [`register`](Self::register) once for each entry
/// in `[[plugins.load]]`, then [`start`](Self::start) when the instance begins to serve, and
/// [`shutdown`](Self::shutdown) when its last request is over.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The configuration: the `config` table of its entry. The host checks it against the schema
    /// before `create` is called. Say `#[serde(deny_unknown_fields, default)]`, so that a
    /// misspelt key is an error. The comments of its fields are the descriptions in the schema.
    ///
    /// A value `{ env = "NAME" }` or `{ file = "path" }` in it never reaches the plugin, at any depth:
    /// the text that the operator keeps there does.
    ///
    /// Take what must not be shown as a [`Secret`](crate::Secret): its `Debug` prints no value.
    type Config: DeserializeOwned + JsonSchema;

    /// The plugin's name.
    const NAME: &'static str;

    /// The plugin's version, usually `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;

    /// The host services that it wants, such as `"state"` or `"agents"`; the operator grants them.
    const GRANTS: &'static [&'static str] = &[];

    /// Makes an instance. Pure: it may be called just to check a configuration, so files, threads
    /// and network belong in [`start`](Self::start), and host services answer `UNAVAILABLE`.
    fn create(config: Self::Config, host: Host) -> Result<Self>;

    /// Says what the instance offers.
    fn register(&self, registrar: &mut Registrar);

    /// The instance begins to serve. An error ends the start of the server; with `required = false`,
    /// the instance is shut down and called no more.
    fn start(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// The instance's last request is over.
    fn shutdown(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// Where an instance says what it offers.
pub struct Registrar {
    pub(crate) host: Host,
    pub(crate) agents: Vec<Arc<dyn ffi::DynAgent>>,
    pub(crate) models: Vec<Arc<dyn ffi::DynModel>>,
    pub(crate) tools: Vec<Arc<dyn ffi::DynTool>>,
    pub(crate) toolsets: Vec<Toolset>,
    pub(crate) hooks: Vec<Arc<dyn ffi::DynHook>>,
    pub(crate) mounts: Vec<Arc<Mount>>,
}

/// A configuration without keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// A tool that the client runs: it has an info and no body.
struct ClientTool(ToolInfo);

// === impl Registrar ===

impl Registrar {
    pub(crate) fn new(host: Host) -> Self {
        Self {
            host,
            agents: Vec::new(),
            models: Vec::new(),
            tools: Vec::new(),
            toolsets: Vec::new(),
            hooks: Vec::new(),
            mounts: Vec::new(),
        }
    }

    /// Offers a coded agent.
    pub fn agent(&mut self, agent: impl Agent) -> &mut Self {
        self.agents.push(Arc::new(agent));
        self
    }

    /// Offers a model, named `instance/name` in the configuration.
    pub fn model(&mut self, model: impl Model) -> &mut Self {
        self.models.push(Arc::new(model));
        self
    }

    /// Offers a tool that runs on the server.
    pub fn tool(&mut self, tool: impl Tool) -> &mut Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// Offers a tool that the client runs.
    pub fn client_tool(&mut self, info: ToolInfo) -> &mut Self {
        self.tools.push(Arc::new(ClientTool(info.on_client())));
        self
    }

    /// Offers tools that are known only once the plugin runs.
    pub fn toolset(&mut self, toolset: &Toolset) -> &mut Self {
        self.toolsets.push(toolset.clone());
        self
    }

    /// Takes part in requests and runs.
    pub fn hook(&mut self, hook: impl Hook) -> &mut Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Offers HTTP routes.
    pub fn mount(&mut self, mount: Mount) -> &mut Self {
        self.mounts.push(Arc::new(mount));
        self
    }

    /// The tools that there are now.
    pub(crate) fn all_tools(&self) -> Vec<Arc<dyn ffi::DynTool>> {
        let toolsets = self.toolsets.iter().flat_map(Toolset::tools);
        self.tools.iter().cloned().chain(toolsets).collect()
    }
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar")
            .field("agents", &self.agents.len())
            .field("models", &self.models.len())
            .field("tools", &self.tools.len())
            .field("toolsets", &self.toolsets.len())
            .field("hooks", &self.hooks.len())
            .field("mounts", &self.mounts.len())
            .finish_non_exhaustive()
    }
}

impl Tool for ClientTool {
    fn info(&self) -> ToolInfo {
        self.0.clone()
    }

    async fn call(&self, _run: crate::RunContext, _arguments: Value) -> Result<Value> {
        Err(Error::new(
            "NOT_IMPLEMENTED",
            "a client tool has no body on the server",
        ))
    }
}

/// The configuration, or which of its settings is wrong.
pub(crate) fn read_config<C: DeserializeOwned>(config: Value) -> Result<C> {
    serde_path_to_error::deserialize(config).map_err(|error| {
        let (path, inner) = (pointer::of_place(error.path()), error.inner().to_string());
        // A setting that checks itself says what it is.
        let message = match inner.strip_prefix("is ") {
            Some(_) => inner,
            None => format!("is not what the plugin expects: {inner}"),
        };
        Error::config(path, message)
    })
}

/// The JSON Schema of a type, without the meta keys that only tools for people read.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = schemars::SchemaGenerator::default()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
    }
    schema
}

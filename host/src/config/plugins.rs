//! The `[plugins]` section: which libraries are loaded, in the order of their hooks.

use std::path::PathBuf;

use mortise_plugin_api::OnError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Deadline, FreeTable, InstanceName, LibraryDigest, LibraryName};

/// Which libraries are loaded.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Plugins {
    /// The folder of the libraries, relative to the configuration file.
    pub dir: PathBuf,
    /// Also load every library of the folder that is not named here, with its default
    /// configuration.
    pub autoload: bool,
    /// How long an endpoint of a plugin may take until its response begins; then the client reads
    /// `TIMEOUT` (504). A body that follows may take its time.
    pub endpoint_timeout: Deadline,
    /// The instances to load. Their order is the order of their hooks.
    pub load: Vec<PluginEntry>,
}

/// One plugin instance. The order of the entries is the order of their hooks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PluginEntry {
    /// The name of the instance; no two are equal.
    pub name: InstanceName,
    /// The library: `jwt_auth` is the file `libjwt_auth.so` in the folder. Unset means the name
    /// with `_` for `-`.
    #[serde(default)]
    pub library: Option<LibraryName>,
    /// The SHA-256 of the library, in hex; one with any other is refused before it is opened. Unset
    /// means whatever is in the folder. The log of the start says which it is.
    #[serde(default)]
    pub sha256: Option<LibraryDigest>,
    /// What the plugin itself wants to know. `{ env = "NAME" }` and `{ file = "path" }` stand for
    /// a secret, at any depth.
    #[serde(default)]
    pub config: FreeTable,
    /// Refuse to start if the plugin does not load or start. Otherwise the server goes on without
    /// it: hooks of one that did not start fail as `on_error` says, so that its guards let nobody
    /// in, and what else it offers is unavailable (503). Of a library that does not load nothing is
    /// known: for one that guards, leave this alone, or set `on_error = "deny"`, which ends the
    /// start all the same. So does a wrong `config` or `sha256`.
    #[serde(default = "yes")]
    pub required: bool,
    /// What a failing hook of this plugin does to the request, instead of what the hook says.
    #[serde(default)]
    pub on_error: Option<OnError>,
    /// What the plugin may use of the server: `agents`, `conversations`, `jobs`, `runs`, `state`. The
    /// log of the start names what it asks for and is not given; a grant that is missing refuses
    /// nothing yet.
    #[serde(default)]
    pub grants: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("plugins"),
            autoload: false,
            // As long as a tool: an endpoint may wait for a whole run.
            endpoint_timeout: Deadline::from_secs(5 * 60),
            load: Vec::new(),
        }
    }
}

impl PluginEntry {
    /// An instance of the library of the same name, with an empty configuration.
    pub fn new(name: InstanceName) -> Self {
        Self {
            name,
            library: None,
            sha256: None,
            config: FreeTable::default(),
            required: true,
            on_error: None,
            grants: Vec::new(),
        }
    }

    /// The library that the instance is loaded from.
    pub fn library(&self) -> LibraryName {
        self.library
            .clone()
            .unwrap_or_else(|| LibraryName::of_instance(&self.name))
    }
}

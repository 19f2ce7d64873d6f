//! The configuration of one deployment: a strict TOML file with an overlay from the environment.
//!
//! `Config::load` is the only way in from a file. Every section has a file of its own; what
//! needs more than one key is checked in `validate.rs`, how a mistake is shown is in `error.rs`.

mod admin;
mod agents;
mod cors;
mod document;
mod environment;
mod error;
mod http;
mod jobs;
mod listen;
mod log;
mod mask;
mod models;
mod money;
mod names;
mod network;
mod overlay;
mod plugins;
mod prices;
mod quota;
mod reference;
mod runs;
mod secret;
mod server;
mod source;
mod store;
mod table;
mod tools;
mod translate;
mod units;
mod validate;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use document::Document;

pub use admin::Admin;
pub use agents::{Agent, OutputErrorMode, Rule};
pub use cors::{Cors, Origin};
pub use environment::{Environment, ProcessEnvironment};
pub use error::{ConfigError, Position, Problem, Problems};
pub use http::Http;
pub use jobs::Jobs;
pub use listen::{Listen, Tls};
pub use log::{Level, Log, LogFormat};
pub use models::{ModelAlias, ModelCapability};
pub use money::Money;
pub use mortise_plugin_api::{OnError, ToolErrorMode};
pub use names::{
    AgentName, AliasName, CapabilityName, InstanceName, LibraryDigest, LibraryName, ModelName,
    ToolPattern,
};
pub use network::Network;
pub use plugins::{PluginEntry, Plugins};
pub use prices::Price;
pub use quota::{PrincipalQuota, Quota};
pub use reference::{reference, schema};
pub use runs::{OnRequestDisconnect, Runs};
pub use secret::Secret;
pub use server::{Auth, BasePath, ClientIp, SecretHolder, Server};
pub use source::{ConfigSource, find};
pub use store::{Durability, Store, StoreUrl};
pub use table::FreeTable;
pub use tools::{Approval, Tool, Tools};
pub(crate) use translate::{did_you_mean, nearest};
pub use units::{Deadline, Period, Size};

/// Everything an operator may say about a deployment.
///
/// The same text written twice gives the same configuration: nothing is read from the machine but
/// the file, the secrets it names, and the `MORTISE__…` variables.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// What the server is for. In production, `serve --plugin` is refused, `/openapi.json` is for
    /// those who are let in, and unwise file permissions and inline secrets are warned about.
    /// Unset means `"development"` on a loopback host and `"production"` on any other.
    pub mode: Option<Mode>,
    /// Where the server listens and who may ask.
    pub server: Server,
    /// The chat API on a port of its own.
    pub http: Option<Http>,
    /// What is for the operator alone.
    pub admin: Admin,
    /// What every run may take.
    pub runs: Runs,
    /// What the models cost, by `"instance/model"`.
    pub prices: BTreeMap<String, Price>,
    /// How much each principal may use in a day.
    pub quota: Quota,
    /// How runs are done that were accepted to be done later.
    pub jobs: Jobs,
    /// Where runs and conversations are kept.
    pub store: Store,
    /// What is written to standard error.
    pub log: Log,
    /// Which libraries are loaded.
    pub plugins: Plugins,
    /// The tools that need more than their library says.
    pub tools: Tools,
    /// Models under names of the operator's own: aliases.
    pub models: BTreeMap<AliasName, ModelAlias>,
    /// The agents that the server offers, by name.
    pub agents: BTreeMap<AgentName, Agent>,

    #[serde(skip)]
    document: Arc<Document>,
}

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One person at one machine: helpful pages, readable logs.
    Development,
    /// Others depend on it: nothing is shown that need not be.
    Production,
}

// === impl Config ===

impl Config {
    /// Reads, overlays, resolves and checks a configuration.
    ///
    /// # Errors
    /// The first mistake that keeps the text from being understood, or all the values that
    /// contradict each other.
    pub fn load(source: ConfigSource, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let is_file = matches!(source, ConfigSource::File(_));
        let read = source.read()?;
        let (mut config, document) = document::parse(read, environment)?;
        config.document = Arc::new(document);
        config.plugins.dir = config.document.folder().join(&config.plugins.dir);
        config.store.locate(config.document.folder(), is_file);
        config.server.resolve(config.document.folder());
        Http::spell_out(&mut config, environment)?;
        config.validate()?;
        Ok(config)
    }

    /// What the server is for, from the file or else from where it listens.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(if self.server.is_loopback() {
            Mode::Development
        } else {
            Mode::Production
        })
    }

    /// What is legal but unwise, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(address) = self.admin.listen
            && !address.ip().to_canonical().is_loopback()
        {
            warnings.push(format!(
                "other machines reach `admin.listen` {address}, and the metrics page asks nobody who \
                 they are; listen on 127.0.0.1, or let only the monitoring through"
            ));
        }
        let secrets = self.document.inline_secrets();
        if self.mode() == Mode::Production {
            warnings.extend(secrets.iter().map(|secret| {
                format!(
                    "{secret} is written in the file; write {{ env = \"NAME\" }} or \
                     {{ file = \"path\" }} to keep it out of backups and version control"
                )
            }));
        }
        if !secrets.is_empty() && self.document.is_world_readable() {
            warnings.push(format!(
                "{} holds a secret and every user of this machine may read it; run chmod 600",
                self.document.name()
            ));
        }
        warnings
    }

    /// The places below a JSON pointer whose text is read from a variable or a file.
    pub(crate) fn references_below(&self, pointer: &str) -> impl Iterator<Item = &str> {
        self.document.references_below(pointer)
    }

    /// An error that points at the place where a value was written.
    ///
    /// `pointer` is a JSON pointer into the whole file, such as
    /// `/plugins/load/0/config/issuer`; where it leads nowhere, the nearest place above is shown.
    pub fn error_at(
        &self,
        pointer: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> ConfigError {
        ConfigError::from(self.document.problem_at(pointer, message.into(), help))
    }
}

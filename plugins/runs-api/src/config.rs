//! The `config` table.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AgentName, PathPrefix, VisibleTo};

/// The `config` table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What all paths begin with, wherever the server's base path is.
    pub prefix: PathPrefix,
    /// Who sees a run and its session: the `tenant` of whoever asked for it, or that `subject` alone.
    pub visibility: VisibleTo,
    /// Agents that are neither listed nor run.
    pub inactive: Vec<AgentName>,
    /// The models that `options.model` may name; empty allows any text.
    pub models: Vec<String>,
    /// Where suggested questions come from: `{ model = "instance/name" }` or `{ fixed = ["…"] }`.
    pub followups: Option<Followups>,
    /// Whether a run is cancelled when the client goes that waits for it.
    pub cancel_on_disconnect: bool,
    /// How many bytes media may have that are fetched from an address.
    pub media_max_bytes: usize,
    /// Hosts that media are fetched from although their addresses are private.
    pub media_private_hosts: Vec<String>,
}

/// Where suggested questions come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Followups {
    /// From this model, written `instance/name`.
    Model(String),
    /// Always these.
    Fixed(Vec<String>),
}

// === impl Config ===

impl Config {
    pub(crate) fn is_active(&self, agent: &str) -> bool {
        !self.inactive.iter().any(|name| **name == *agent)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: "/api".into(),
            visibility: VisibleTo::Subject,
            inactive: Vec::new(),
            models: Vec::new(),
            followups: None,
            cancel_on_disconnect: true,
            media_max_bytes: 5 * 1024 * 1024,
            media_private_hosts: Vec::new(),
        }
    }
}

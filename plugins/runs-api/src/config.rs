//! The `config` table.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

/// The `config` table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What all paths begin with, wherever the server's base path is.
    pub prefix: String,
    /// Who sees a run and its session: the `tenant` of whoever asked for it, or that `subject` alone.
    pub visibility: Visibility,
    /// Agents that are neither listed nor run.
    pub inactive: Vec<String>,
    /// The models that `options.model` may name; empty allows any text.
    pub models: Vec<String>,
    /// Where suggested questions come from: `{ model = "instance/name" }` or `{ fixed = ["…"] }`.
    pub followups: Option<Followups>,
    /// Whether streams also have the events `PAUSED` and `CANCELLED`.
    pub extra_events: bool,
    /// What becomes of a run when its client goes: `abort` or `continue`.
    pub on_request_disconnect: OnDisconnect,
    /// How long a stream is silent before it gets a comment.
    pub heartbeat: String,
    /// How many bytes media may have that are fetched from an address.
    pub media_max_bytes: usize,
    /// How long fetching one medium may take.
    pub media_timeout: String,
    /// Hosts that media are fetched from although their addresses are private.
    pub media_private_hosts: Vec<String>,
}

/// Who sees a run and its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody of the tenant.
    Tenant,
    /// Whoever asked for it.
    Subject,
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

/// What becomes of a run when its client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// It is aborted.
    Abort,
    /// It goes on.
    Continue,
}

// === impl Config ===

impl Config {
    pub(crate) fn is_active(&self, agent: &str) -> bool {
        !self.inactive.iter().any(|name| name == agent)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: "/api".to_owned(),
            visibility: Visibility::Tenant,
            inactive: Vec::new(),
            models: Vec::new(),
            followups: None,
            extra_events: false,
            on_request_disconnect: OnDisconnect::Abort,
            heartbeat: "15s".to_owned(),
            media_max_bytes: 5 * 1024 * 1024,
            media_timeout: "10s".to_owned(),
            media_private_hosts: Vec::new(),
        }
    }
}

/// A duration such as `15s`; `key` says which setting it is.
pub(crate) fn duration(key: &str, text: &str) -> Result<Duration> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(Error::config(key, "is no duration such as \"15s\"")),
    }
}

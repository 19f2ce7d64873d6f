//! The `config` table.

use mortise_plugin_api::prelude::*;

/// The `config` table.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The level of ordinary entries. Failures are errors; model calls and saves are at most
    /// `debug`.
    pub level: Level,
    /// What is logged.
    pub include: Include,
    /// Whether every piece of a text, of reasoning and of arguments has an entry of its own.
    pub deltas: bool,
    /// Headers whose values are not shown, beside those of credentials, which the server hides.
    pub redact_headers: Vec<String>,
    /// Fields of bodies, events and arguments whose values are not shown, such as
    /// `context.token`. Lists are passed through: `input.content` is the content of every item.
    pub redact_body: Vec<String>,
}

/// What is logged.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one switch for each kind of entry"
)]
pub struct Include {
    /// `request.received` and `request.completed`.
    pub requests: bool,
    /// `run.event`, but for failures.
    pub events: bool,
    /// `step.start`.
    pub steps: bool,
    /// `model.before` and `model.after`.
    pub model_calls: bool,
    /// `tool.before`, and `tool.after` of calls that went well.
    pub tool_calls: bool,
    /// `run.event` and `tool.after` of what failed.
    pub errors: bool,
    /// `save.before`.
    pub saves: bool,
}

/// How important an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For those who look for one thing in particular.
    Trace,
    /// For developers.
    Debug,
    /// For operators.
    #[default]
    Info,
    /// Something may be wrong.
    Warn,
    /// Something failed.
    Error,
}

// === impl Include ===

impl Default for Include {
    fn default() -> Self {
        Self {
            requests: true,
            events: true,
            steps: true,
            model_calls: true,
            tool_calls: true,
            errors: true,
            saves: false,
        }
    }
}

//! The `config` table.

use mortise_plugin_api::AgentName;
use mortise_plugin_api::prelude::*;

/// The `config` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The rules, in the order in which a text goes through them; at least one.
    pub rules: Vec<RuleConfig>,
    /// How much of a streamed text is held back.
    pub streams: Streams,
}

/// A rule: it has one of `detect`, `pattern` and `max_chars`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// What the rule is called in the log and in what clients are told.
    pub name: String,
    /// Finds personal data.
    #[serde(default)]
    #[schemars(with = "Detect")]
    pub detect: Option<Detect>,
    /// Finds what this regular expression matches, in the syntax of Rust's `regex`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Finds texts with more characters than this: all that a client sends with a run together, all of
    /// what a tool returns, or one text of an answer.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_chars: Option<usize>,
    /// What becomes of what is found. A rule with `max_chars` can only block.
    pub action: Action,
    /// Where the rule looks.
    #[serde(default = "both")]
    pub on: Vec<Side>,
    /// What stands in the place of what is found. Unset means the name of the rule in brackets.
    #[serde(default)]
    pub replacement: Option<String>,
    /// What the client is told when the rule blocks.
    #[serde(default)]
    pub message: Option<String>,
    /// The agents that the rule is for; empty means all.
    #[serde(default)]
    pub agents: Vec<AgentName>,
}

/// Personal data that can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detect {
    /// Addresses of e-mail.
    Email,
    /// Numbers of phones, international or in the form of North America.
    Phone,
    /// Numbers of payment cards: a known issuer, the right length, a valid check digit.
    Card,
    /// IBANs: a known country, its length, a valid checksum.
    Iban,
    /// Addresses of IPv4 and IPv6.
    Ip,
    /// Numbers of the social security of the United States.
    UsSsn,
}

/// What becomes of what a rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The run fails, and the client is told why.
    Block,
    /// Something else stands in its place.
    Redact,
}

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What a client sends with a run.
    Input,
    /// What an agent says and thinks.
    Output,
    /// What tools return, before a model or a client reads it.
    ToolResult,
}

/// How much of a streamed text is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Streams {
    /// What may still become something that a rule finds.
    #[default]
    Follow,
    /// All of it, until it is over.
    Whole,
}

fn both() -> Vec<Side> {
    vec![Side::Input, Side::Output]
}

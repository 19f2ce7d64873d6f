//! The `config` table.

use std::collections::BTreeMap;

use mortise_plugin_api::Span;
use mortise_plugin_api::prelude::*;
use serde_json::Map;

use crate::api::Api;

/// The `config` table.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whose models `"llm/NAME"` means. Unset: the name says it, as `"llm/openai/gpt-4.1-mini"`.
    pub provider: Option<String>,
    /// Who is asked, by names of your own. `openai`, `anthropic`, `gemini` and `ollama` need no
    /// entry: they are there when there is a key for them.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Models with names of their own.
    pub models: BTreeMap<String, ModelConfig>,
    /// How long is waited for what.
    pub timeouts: TimeoutsConfig,
    /// What is tried again.
    pub retries: RetriesConfig,
}

/// Somebody who has models.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// How it is spoken to. Unset: as the provider of this name is, `openai` for any other name.
    pub api: Option<Api>,
    /// Where it is, as its own tools take it. Unset: where its own tools look for it, see README.
    pub url: Option<String>,
    /// Its key; usually `{ env = "NAME" }`. Unset: the variable that its own tools read.
    pub key: Option<Secret>,
    /// Headers that go with each request.
    pub headers: BTreeMap<String, Secret>,
    /// The kinds of input beside text that its models take: `image`, `audio`, `video`, `file`.
    /// Unset: what those of its API usually do.
    pub input: Option<Vec<String>>,
}

/// A model with a name of its own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The model, as `"openai/gpt-4.1-mini"`.
    pub model: String,
    /// Models that are asked in its place, in this order, when it does not answer.
    #[serde(default)]
    pub fallback: Vec<String>,
    /// Options of each request, below those of the agent and the run.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// The kinds of input beside text that it takes. Unset: as its provider says.
    #[serde(default)]
    pub input: Option<Vec<String>>,
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// For a connection.
    pub connect: Span,
    /// For the first piece of an answer, from when it is asked for.
    pub first_token: Span,
    /// From one piece of an answer to the next.
    pub between_tokens: Span,
}

/// What is tried again, before anything of an answer has come.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetriesConfig {
    /// How many times.
    pub max: u32,
    /// What is waited before the first time; each time it is twice as much, and a part of it is
    /// left to chance.
    pub backoff: Span,
    /// The longest wait. A provider that asks for a longer one is not tried again.
    pub longest_wait: Span,
}

// === defaults ===

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            connect: Span::from_secs(10),
            first_token: Span::from_secs(300),
            between_tokens: Span::from_secs(60),
        }
    }
}

impl Default for RetriesConfig {
    fn default() -> Self {
        Self {
            max: 2,
            backoff: Span::from_millis(500),
            longest_wait: Span::from_secs(20),
        }
    }
}

//! The `[store]` section: where runs and conversations are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// Where runs and conversations are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Store {
    /// `"memory:"` keeps everything until the process ends, `"none"` keeps
    /// nothing but the state of plugins, which lasts as long as the process.
    pub url: StoreUrl,
    /// Keep the events of runs, so that a stream can be resumed.
    pub streams: bool,
    /// Keep conversations, so that an agent can continue one.
    pub conversations: bool,
    /// Keep which run a conversation is in, so that a client can find it again.
    pub runtime_state: bool,
    /// How many finished runs are kept.
    pub keep_finished_runs: usize,
    /// How long a finished run is kept.
    pub keep_finished_for: Period,
    /// How many conversations are kept; the one that was stored first goes first.
    #[schemars(range(min = 1))]
    pub max_conversations: usize,
}

/// Which store is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub enum StoreUrl {
    /// In this process, until it ends.
    Memory,
    /// Nothing is kept: no conversations, no resume.
    None,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: StoreUrl::Memory,
            streams: true,
            conversations: true,
            runtime_state: true,
            keep_finished_runs: 10_000,
            keep_finished_for: Period::from_secs(15 * 60),
            max_conversations: 100_000,
        }
    }
}

impl Store {
    /// Whether the events of runs are kept at all.
    pub fn keeps_streams(&self) -> bool {
        self.streams && self.url != StoreUrl::None
    }
}

// === impl StoreUrl ===

impl TryFrom<String> for StoreUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "memory:" => Ok(Self::Memory),
            "none" => Ok(Self::None),
            // Only the scheme: the rest of a URL may hold a password.
            other => Err(format!(
                "there is no store {:?}; supported now: \"memory:\" and \"none\"",
                other.split_once(':').map_or(other, |(scheme, _)| scheme)
            )),
        }
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Memory => "memory:",
            Self::None => "none",
        })
    }
}

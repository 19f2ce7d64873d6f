//! The `[store]` section: where runs and conversations are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// Where runs and conversations are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Store {
    /// `"sqlite:PATH"` keeps everything in a file, relative to the configuration file;
    /// `"memory:"` keeps it until the process ends; `"none"` keeps nothing but the state of
    /// plugins, which lasts as long as the process. If unset it is
    /// `"sqlite:data/mortise.db"`, but `"memory:"` for a configuration that is no file.
    pub url: Option<StoreUrl>,
    /// What an event that was shown survives, in a database.
    pub durability: Durability,
    /// Keep the events of runs, so that a stream can be resumed.
    pub streams: bool,
    /// Keep conversations, so that an agent can continue one.
    pub conversations: bool,
    /// Keep which run a conversation is in, so that a client can find it again.
    pub runtime_state: bool,
    /// How many finished runs are kept; if unset 10,000 in memory and 1,000,000 in a database.
    pub keep_finished_runs: Option<usize>,
    /// How long a finished run is kept; if unset 15 minutes in memory and 30 days in a database.
    pub keep_finished_for: Option<Period>,
    /// How many conversations are kept; in memory the one that was stored first goes first, in a
    /// database the one that was not continued for longest.
    #[schemars(range(min = 1))]
    pub max_conversations: usize,
}

/// Which store is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub enum StoreUrl {
    /// In a database in this file.
    Sqlite(PathBuf),
    /// In this process, until it ends.
    Memory,
    /// Nothing is kept: no conversations, no resume.
    None,
}

/// What an event that was shown survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A crash of the process.
    Fast,
    /// A loss of power too: each commit waits for the disk.
    Full,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: None,
            durability: Durability::Fast,
            streams: true,
            conversations: true,
            runtime_state: true,
            keep_finished_runs: None,
            keep_finished_for: None,
            max_conversations: 100_000,
        }
    }
}

const DEFAULT_DATABASE: &str = "data/mortise.db";

impl Store {
    /// Which store is used.
    pub fn url(&self) -> &StoreUrl {
        self.url.as_ref().unwrap_or(&StoreUrl::Memory)
    }

    /// Completes the address once it is known where relative paths start, if anywhere.
    pub(super) fn locate(&mut self, folder: &Path, is_file: bool) {
        self.url = match self.url.take() {
            None if is_file => Some(StoreUrl::Sqlite(folder.join(DEFAULT_DATABASE))),
            Some(StoreUrl::Sqlite(path)) => Some(StoreUrl::Sqlite(folder.join(path))),
            other => other,
        };
    }

    /// How many finished runs are kept.
    pub fn finished_runs(&self) -> usize {
        self.keep_finished_runs.unwrap_or(match self.url() {
            StoreUrl::Sqlite(_) => 1_000_000,
            StoreUrl::Memory | StoreUrl::None => 10_000,
        })
    }

    /// How long a finished run is kept.
    pub fn finished_for(&self) -> Duration {
        self.keep_finished_for.map_or(
            match self.url() {
                StoreUrl::Sqlite(_) => Duration::from_hours(30 * 24),
                StoreUrl::Memory | StoreUrl::None => Duration::from_mins(15),
            },
            |period| period.0,
        )
    }

    /// Whether the events of runs are kept at all.
    pub fn keeps_streams(&self) -> bool {
        self.streams && *self.url() != StoreUrl::None
    }
}

// === impl StoreUrl ===

impl TryFrom<String> for StoreUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "memory:" => return Ok(Self::Memory),
            "none" => return Ok(Self::None),
            "sqlite:" => return Err("a database needs a file: \"sqlite:data/mortise.db\"".into()),
            _ => {}
        }
        match text.strip_prefix("sqlite:") {
            Some(path) => Ok(Self::Sqlite(path.into())),
            // Only the scheme: the rest of a URL may hold a password.
            None => Err(format!(
                "there is no store {:?}; supported now: \"sqlite:PATH\", \"memory:\" and \"none\"",
                text.split_once(':').map_or(&*text, |(scheme, _)| scheme)
            )),
        }
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sqlite(path) => {
                serializer.collect_str(&format_args!("sqlite:{}", path.display()))
            }
            Self::Memory => serializer.serialize_str("memory:"),
            Self::None => serializer.serialize_str("none"),
        }
    }
}

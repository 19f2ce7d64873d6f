//! The `config` table, and what may be wrong with it.

use std::fmt;

use mortise_plugin_api::prelude::*;

/// The `config` table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The header that carries the key.
    pub header: String,
    /// The keys that are let in; at least one.
    pub keys: Vec<KeyConfig>,
}

/// A key and who holds it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The key; usually `{ env = "NAME" }`. Spaces at its ends do not count.
    pub key: String,
    /// Who holds it.
    pub subject: String,
    /// The organisation of the holder.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// What the holder may do, such as `runs:approve`.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Why a configuration is refused. Keys are named by their place: no text of a key is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("config.header is {0:?}, which is no name of a header")]
    Header(String),
    #[error("config.keys is empty: without a key nobody could come in")]
    NoKeys,
    #[error("config.keys[{0}].key is blank")]
    BlankKey(usize),
    #[error(
        "config.keys[{0}].key has a control character or a byte order mark in it, which no header \
         carries"
    )]
    UnpresentableKey(usize),
    #[error("config.keys[{0}].subject is blank")]
    BlankSubject(usize),
    #[error("config.keys[{second}].key is the same as config.keys[{first}].key")]
    SameKey { first: usize, second: usize },
}

fn default_tenant() -> String {
    Principal::DEFAULT_TENANT.to_owned()
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            header: "x-api-key".to_owned(),
            keys: Vec::new(),
        }
    }
}

// === impl KeyConfig ===

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyConfig")
            .field("key", &"[redacted]")
            .field("subject", &self.subject)
            .field("tenant", &self.tenant)
            .field("scopes", &self.scopes)
            .finish()
    }
}

//! The `config` table.

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
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The key; usually `{ env = "NAME" }`. Spaces at its ends do not count.
    pub key: Secret,
    /// Who holds it.
    pub subject: String,
    /// The organisation of the holder.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// What the holder may do, such as `runs:approve`.
    #[serde(default)]
    pub scopes: Vec<String>,
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

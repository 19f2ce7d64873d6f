//! The `config` table.

use mortise_plugin_api::prelude::*;

/// The `config` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The addresses and networks that are let in, such as `"10.0.0.0/8"` or `"2001:db8::1"`.
    /// Empty lets in all that `deny` does not name.
    pub allow: Vec<String>,
    /// The addresses and networks that are kept out, also of what `allow` names.
    pub deny: Vec<String>,
    /// Read the client's address from these headers, whoever sent them, and never from the
    /// connection: the first valid address counts. Only behind a proxy that sets them. Empty asks
    /// the server, which believes `server.trusted_proxies` alone.
    pub headers: Vec<String>,
}

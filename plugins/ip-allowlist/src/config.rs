//! The `config` table, and what may be wrong with it.

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

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "config.allow and config.deny are both empty: name who is let in, such as \
         allow = [\"10.0.0.0/8\"]"
    )]
    NoRules,
    #[error(
        "config.{list}[{place}] is {text:?}, which is no network; write \"10.0.0.0/8\", \
         \"2001:db8::/32\" or one address"
    )]
    NoNetwork {
        list: &'static str,
        place: usize,
        text: String,
    },
    #[error("config.{list}[{place}] is {text:?}, IPv4 in the form of IPv6; write it as IPv4")]
    Mapped {
        list: &'static str,
        place: usize,
        text: String,
    },
    #[error("config.headers[{place}] is {name:?}, which is no name of a header")]
    Header { place: usize, name: String },
}

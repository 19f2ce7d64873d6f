//! The `[admin]` section: what is for the operator alone.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::listen::socket_address;

/// What is for the operator alone.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Admin {
    /// The IP address of the metrics page with its port, such as `"127.0.0.1:9464"`; port 0 takes any
    /// free one. `/metrics`, `/livez` and `/readyz` answer there, and ask for nothing. Unset means
    /// that there is no such page, and that nothing is counted for it.
    #[serde(deserialize_with = "some_address")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
}

fn some_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    socket_address(deserializer).map(Some)
}

//! `[server.tls]` and `[[server.listen]]`: how connections are encrypted, and further addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{InstanceName, Period, translate::error_with_help};

/// TLS 1.2 and 1.3, for HTTP/1.1 and HTTP/2.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tls {
    /// The file of the certificate and of those that vouch for it, the server's first, as PEM;
    /// relative to the configuration file.
    pub certificate: PathBuf,
    /// The file of its private key, as PEM. Nobody but its owner and group should read it.
    pub key: PathBuf,
    /// How often the files are looked at. A new pair is used for new connections; one that does not
    /// work is logged, and the old one is kept.
    #[serde(default = "ten_seconds")]
    pub refresh: Period,
    /// How long browsers shall use nothing but TLS with this host name, on whichever port
    /// (`strict-transport-security`). Unset means that they are not told to.
    #[serde(default)]
    pub hsts: Option<Period>,
}

/// A further address, with all that is served or with some mounts of plugins alone. `/livez` and
/// `/readyz` answer on each.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Listen {
    /// The IP address with its port, such as `"127.0.0.1:3142"`; port 0 takes any free one.
    #[serde(deserialize_with = "socket_address")]
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// The plugin instances whose mounts are served here, without the built-in routes; `[]` serves
    /// `/livez` and `/readyz` alone. Unset means all that `server.host` serves.
    #[serde(default)]
    pub mounts: Option<Vec<InstanceName>>,
    /// TLS on this address. Unset means none, whatever `server.tls` says.
    #[serde(default)]
    pub tls: Option<Tls>,
}

fn ten_seconds() -> Period {
    Period::from_secs(10)
}

pub(super) fn socket_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        error_with_help(
            format_args!("{text:?} is no address with a port"),
            "write an IP address and a port, such as \"127.0.0.1:3142\" or \"[::1]:3142\"",
        )
    })
}

impl Listen {
    pub(super) fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// Whether more than `/livez` and `/readyz` is served here.
    pub fn serves_anything(&self) -> bool {
        self.mounts.as_ref().is_none_or(|it| !it.is_empty())
    }
}

impl Tls {
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.certificate = folder.join(&self.certificate);
        self.key = folder.join(&self.key);
    }
}

//! The `[server]` section: where the server listens and who may ask.

use std::net::IpAddr;

use mortise_plugin_api::Principal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Network, Period, Secret, Size};

/// Where the server listens and who may ask.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Server {
    /// The address or host name to listen on.
    pub host: String,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// Ports to try in this order, instead of `port`; the first free one is taken.
    pub ports: Vec<u16>,
    /// The path in front of every built-in route; a full URL counts by its path, `""` is none.
    pub base_path: BasePath,
    /// The bearer token of the built-in routes, as text, `{ env = "NAME" }` or
    /// `{ file = "path" }`. Unset means that they ask for none.
    pub secret: Option<Secret>,
    /// `"all"` asks for the secret, and then for what every guard asks for. With `"any"` the secret
    /// or the credential of one guard that authenticates is enough; one that is wrong refuses,
    /// whatever else is presented.
    pub auth: Auth,
    /// Who is asking when the secret is presented.
    pub principal: SecretHolder,
    /// Accept requests from other machines although nobody has to say who is asking.
    pub insecure: bool,
    /// The largest request body.
    pub body_limit: Size,
    /// How long a client may take to send its request head.
    pub header_timeout: Period,
    /// How long a shutdown waits for what is running.
    pub shutdown_grace: Period,
    /// How many connections are open at once; more wait.
    #[schemars(range(min = 1))]
    pub max_connections: usize,
    /// The proxies in front, as networks or addresses. What they say in `x-forwarded-for` is
    /// believed, what others say there is not. Unset, the client is who opened the connection.
    pub trusted_proxies: Vec<Network>,
    /// Which address of `x-forwarded-for` is the client's, where a trusted proxy sent it:
    /// `"rightmost"` is the last that is no trusted proxy, which no client can make up; `"first"`
    /// is the first valid one, for proxies that replace the header.
    pub client_ip: ClientIp,
}

/// Which address of `x-forwarded-for` is the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientIp {
    /// The last that is no trusted proxy.
    Rightmost,
    /// The first that is valid.
    First,
}

/// How the secret and the guards that authenticate go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// The secret is asked for first, then every guard for its own credential.
    All,
    /// One of them is enough; a credential that is wrong refuses, whatever else is presented.
    Any,
}

/// Who is asking when the secret is presented. What such a client starts and stores is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SecretHolder {
    /// The organisation.
    pub tenant: String,
    /// The user or machine in it.
    pub subject: String,
    /// What it may do, such as `runs:approve`.
    pub scopes: Vec<String>,
}

/// A path prefix without a trailing slash; empty for none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct BasePath(String);

// === impl Server ===

impl Default for Server {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 3141,
            ports: Vec::new(),
            base_path: BasePath("/api".to_owned()),
            secret: None,
            auth: Auth::All,
            principal: SecretHolder::default(),
            insecure: false,
            body_limit: Size(1 << 20),
            header_timeout: Period::from_secs(10),
            shutdown_grace: Period::from_secs(8),
            max_connections: 10_000,
            trusted_proxies: Vec::new(),
            client_ip: ClientIp::Rightmost,
        }
    }
}

impl Server {
    /// Whether only this machine can reach the server.
    pub fn is_loopback(&self) -> bool {
        match self.address() {
            Some(address) => address.is_loopback(),
            None => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// The host as an address; `None` for a host name.
    pub fn address(&self) -> Option<IpAddr> {
        let bare = self
            .host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&self.host);
        bare.parse().ok()
    }

    pub(super) fn has_valid_host(&self) -> bool {
        self.address().is_some()
            || !self.host.is_empty()
                && self
                    .host
                    .chars()
                    .all(|it| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_'))
    }
}

// === impl SecretHolder ===

impl Default for SecretHolder {
    fn default() -> Self {
        let operator = Principal::operator();
        Self {
            tenant: operator.tenant,
            subject: operator.subject,
            scopes: operator.scopes,
        }
    }
}

impl From<SecretHolder> for Principal {
    fn from(holder: SecretHolder) -> Self {
        let SecretHolder {
            tenant,
            subject,
            scopes,
        } = holder;
        scopes
            .into_iter()
            .fold(Self::new(subject).with_tenant(tenant), Self::with_scope)
    }
}

// === impl BasePath ===

impl BasePath {
    /// The prefix: empty, or with a leading and without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BasePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let path = match text.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => &text,
        };
        let path = path.trim_matches('/');
        if path.contains(|it: char| it.is_whitespace() || it.is_control() || "?#{}*".contains(it))
            || path.split('/').any(|it| it == "." || it == "..")
            || path.contains("//")
        {
            return Err(format!("{text:?} is not a path prefix such as \"/api\""));
        }
        if path.is_empty() {
            return Ok(Self(String::new()));
        }
        Ok(Self(format!("/{path}")))
    }
}

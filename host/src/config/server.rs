//! The `[server]` section: where the server listens and who may ask.

use std::net::IpAddr;
use std::path::Path;

use mortise_plugin_api::Principal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cors, Listen, Network, Period, Secret, Size, Tls};

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
    /// The largest head of a request: 431 where all its headers are larger, or are more than 100.
    pub header_limit: Size,
    /// The longest path with its query; 414 where it is longer.
    pub uri_limit: Size,
    /// How long a client may take to send a request head; for the first one of a connection, TLS
    /// included. Then the connection is closed.
    pub header_timeout: Period,
    /// How long a client may take to send a request body; each 16 KiB of it give it another
    /// second. Then it gets 408. Only the time that the server waits counts.
    pub body_timeout: Period,
    /// How long a client may take nothing of what is sent to it. Then the connection is closed;
    /// a streamed run whose events are kept goes on.
    pub write_timeout: Period,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Period,
    /// How long a shutdown waits for what is running.
    pub shutdown_grace: Period,
    /// How many connections are open at once. For one more, the one that has been idle for longest
    /// is closed; where all are at work, it gets 503.
    #[schemars(range(min = 1))]
    pub max_connections: usize,
    /// How many of them one address may have, or one /64 network of IPv6. Unset means any number:
    /// behind a proxy, all have its address.
    #[schemars(range(min = 1))]
    pub max_connections_per_address: Option<usize>,
    /// TLS on `host` and `port`. Unset means none.
    pub tls: Option<Tls>,
    /// Further addresses. All are bound before any plugin starts.
    pub listen: Vec<Listen>,
    /// Which web pages of other origins may call the server.
    pub cors: Cors,
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
            header_limit: Size(32 << 10),
            uri_limit: Size(8 << 10),
            header_timeout: Period::from_secs(10),
            body_timeout: Period::from_secs(10),
            write_timeout: Period::from_secs(10),
            idle_timeout: Period::from_secs(75),
            shutdown_grace: Period::from_secs(8),
            max_connections: 10_000,
            max_connections_per_address: None,
            tls: None,
            listen: Vec::new(),
            cors: Cors::default(),
            trusted_proxies: Vec::new(),
            client_ip: ClientIp::Rightmost,
        }
    }
}

impl Server {
    /// Whether only this machine can reach the server, on any of its addresses.
    pub fn is_loopback(&self) -> bool {
        self.has_loopback_host() && self.listen.iter().all(Listen::is_loopback)
    }

    /// What other machines can ask for more than whether the server lives: where its address is
    /// written, and what a message calls it.
    pub(crate) fn reachable(&self) -> impl Iterator<Item = (String, String)> {
        let host = (!self.has_loopback_host()).then(|| {
            let name = format!("`server.host` {:?}", self.host);
            ("/server/host".to_owned(), name)
        });
        let further = self.listen.iter().enumerate();
        let further = further.filter(|(_, it)| !it.is_loopback() && it.serves_anything());
        let further = further.map(|(index, it)| {
            let pointer = format!("/server/listen/{index}/address");
            (pointer, format!("`server.listen` {}", it.address))
        });
        host.into_iter().chain(further)
    }

    fn has_loopback_host(&self) -> bool {
        match self.address() {
            Some(address) => address.is_loopback(),
            None => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Paths are relative to the folder of the configuration.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let further = self.listen.iter_mut().filter_map(|it| it.tls.as_mut());
        for tls in self.tls.iter_mut().chain(further) {
            tls.resolve(folder);
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

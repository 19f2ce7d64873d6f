//! The `config` table, and what may be wrong with it.

use std::fmt;
use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AgentName, InstanceName, Span};

pub use crate::algorithm::Algorithm;
use crate::key::KeyError;
use crate::source::PlaceError;

/// The `config` table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The header that carries the token.
    pub header: String,
    /// The word before the token, in any case; empty: the token is the whole header.
    pub scheme: String,
    /// Whose tokens are accepted; at least one.
    pub issuers: Vec<IssuerConfig>,
    /// Scopes that certain requests need. All rules that fit a request must be met.
    pub rules: Vec<RuleConfig>,
    /// How many verified tokens are remembered, so that they are not verified again; at most
    /// 1000000, and 0 verifies each time.
    pub remembered_tokens: usize,
}

/// Somebody who signs tokens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerConfig {
    /// The `iss` of the tokens, exactly. Empty: it is not looked at, and there is no other issuer.
    pub issuer: String,
    /// The accepted `aud`; a token needs one of them. Empty: a token must have no `aud`.
    pub audience: Vec<String>,
    /// Keys that verify, and do not change.
    pub keys: Vec<KeyConfig>,
    /// Keys that the issuer publishes.
    pub jwks: Option<JwksConfig>,
    /// How far clocks may be apart, for `exp`, `nbf` and `iat`; at most five minutes.
    pub leeway: Span,
    /// The accepted `typ`, such as `at+jwt`, in any case. Empty: it is not looked at.
    pub types: Vec<String>,
    /// Claims that must be there, beside `exp` and the subject.
    pub required: Vec<String>,
    /// The claim that is the subject. This and the next claims are names, or pointers into nested
    /// claims such as `/realm_access/roles`.
    pub subject_claim: String,
    /// Stands before each subject. With several issuers each needs its own, since two issuers may
    /// give one name to two people.
    pub subject_prefix: String,
    /// The tenant of all tokens, unless `tenant_claim` is set.
    pub tenant: String,
    /// The claim that is the tenant; a token must have it then. Empty: `tenant` is.
    pub tenant_claim: String,
    /// The claim with the scopes: a text with spaces between them, or a list.
    pub scopes_claim: String,
    /// Claims that agents, tools and hooks may read of the principal.
    pub claims: Vec<String>,
}

/// A key: a `secret` or a `key`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The `kid` of the tokens that it verifies; those of a JWK by default. Without one it is
    /// tried for every token.
    pub id: Option<String>,
    /// How tokens may be signed with it. All must be of the key's kind.
    pub algorithms: Vec<Algorithm>,
    /// A secret that both sides know, for `HS…`; usually `{ env = "NAME" }`.
    pub secret: Option<String>,
    /// A public key in PEM, or a JWK; usually `{ file = "path" }`.
    pub key: Option<String>,
}

/// A key set that is read again and again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwksConfig {
    /// `https://…`, `http://…` on this machine, or `file:///…`.
    pub url: String,
    /// How tokens may be signed, each with keys of its kind; no `HS…`, since a set is public.
    pub algorithms: Vec<Algorithm>,
    /// How often it is read; from `10s` to `24h`.
    #[serde(default = "default_refresh")]
    pub refresh: Span,
    /// How long a token that names an unknown key does not make the set be read again, and what
    /// is waited before the next attempt when reading failed; from `1s`.
    #[serde(default = "default_cooldown")]
    pub cooldown: Span,
    /// How long reading may take; from `1s` to `9s`.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Certificates in PEM that are trusted instead of the system's; usually `{ file = "path" }`.
    pub ca: Option<String>,
}

/// Scopes that certain requests need. A list that is empty fits every request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// What requests want: `run` (as JSON and as a stream), `load_conversation`, `resume_stream`,
    /// `resume_conversation`, `abort_run`, `tool_result`, `tool_approval`, `endpoint` of a plugin,
    /// `built_in` for other routes of the server.
    pub kinds: Vec<String>,
    /// The methods, such as `GET`.
    pub methods: Vec<String>,
    /// The agents that requests name.
    pub agents: Vec<AgentName>,
    /// The plugin instances whose endpoints are called.
    pub mounts: Vec<InstanceName>,
    /// The scopes that a token must have, all of them; at least one.
    pub scopes: Vec<String>,
}

/// Why a configuration is refused. Keys are named by their place: no text of a key is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("config.header is {0:?}, which is no name of a header")]
    Header(String),
    #[error("config.scheme is {0:?}, which is no scheme")]
    Scheme(String),
    #[error("config.issuers is empty: without an issuer nobody could come in")]
    NoIssuers,
    #[error("config.issuers[{0}].issuer is empty; that is for an issuer without others beside it")]
    NamelessIssuer(usize),
    #[error("config.issuers[{second}].issuer is the same as config.issuers[{first}].issuer")]
    SameIssuer { first: usize, second: usize },
    #[error(
        "config.issuers[{second}].subject_prefix and config.issuers[{first}].subject_prefix begin \
         alike: subjects of the two could not be told apart; say two such as \"a:\" and \"b:\""
    )]
    SamePrefix { first: usize, second: usize },
    #[error("config.issuers[{0}] has neither `keys` nor `jwks`: no token could be verified")]
    NoKeys(usize),
    #[error("config.issuers[{issuer}].jwks.url {source}")]
    Place { issuer: usize, source: PlaceError },
    #[error("config.issuers[{0}].jwks.algorithms is empty; name those that are allowed")]
    NoSetAlgorithms(usize),
    #[error("config.issuers[{0}].jwks.algorithms has {1}, and a set that is read is no secret")]
    SecretInSet(usize, Algorithm),
    #[error("config.issuers[{issuer}].jwks.{key} is not from {least:?} to {most:?}")]
    Period {
        issuer: usize,
        key: &'static str,
        least: Duration,
        most: Duration,
    },
    #[error("config.issuers[{0}].leeway is longer than five minutes")]
    Leeway(usize),
    #[error("config.issuers[{0}].{1} is blank")]
    Blank(usize, &'static str),
    #[error(
        "config.issuers[{issuer}].keys[{key}].algorithms is empty; name those that are allowed"
    )]
    NoAlgorithms { issuer: usize, key: usize },
    #[error("config.issuers[{issuer}].keys[{key}] needs one of `secret` and `key`")]
    SecretOrKey { issuer: usize, key: usize },
    #[error("config.issuers[{issuer}].keys[{key}] cannot be used: {source}")]
    Key {
        issuer: usize,
        key: usize,
        source: KeyError,
    },
    #[error("config.issuers[{issuer}].keys[{second}].id is the same as that of keys[{first}]")]
    SameKeyId {
        issuer: usize,
        first: usize,
        second: usize,
    },
    #[error("config.rules[{0}].scopes is empty: the rule would ask for nothing")]
    NoScopes(usize),
    #[error("config.rules[{rule}].scopes has {scope:?}, which is no scope")]
    Scope { rule: usize, scope: String },
    #[error(
        "config.rules[{rule}].kinds has {kind:?}, which is no kind of request{}",
        hint(kind)
    )]
    Kind { rule: usize, kind: String },
    #[error("config.remembered_tokens is more than 1000000")]
    RememberedTokens,
}

fn default_refresh() -> Span {
    Span::from_secs(15 * 60)
}

fn default_cooldown() -> Span {
    Span::from_secs(30)
}

fn default_timeout() -> Span {
    Span::from_secs(5)
}

fn hint(kind: &str) -> &'static str {
    if kind == "stream" {
        "; \"run\" means both forms of a run"
    } else {
        ""
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            header: "authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            issuers: Vec::new(),
            rules: Vec::new(),
            remembered_tokens: 10_000,
        }
    }
}

// === impl IssuerConfig ===

impl Default for IssuerConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: Vec::new(),
            keys: Vec::new(),
            jwks: None,
            leeway: Span::from_secs(30),
            types: Vec::new(),
            required: Vec::new(),
            subject_claim: "sub".to_owned(),
            subject_prefix: String::new(),
            tenant: Principal::DEFAULT_TENANT.to_owned(),
            tenant_claim: String::new(),
            scopes_claim: "scope".to_owned(),
            claims: Vec::new(),
        }
    }
}

// === impl KeyConfig ===

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyConfig")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .field("secret", &self.secret.as_ref().map(|_| "[redacted]"))
            .field("key", &self.key.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

//! The `config` table.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AgentName, InstanceName, Span};

pub use crate::algorithm::Algorithm;

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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The `kid` of the tokens that it verifies; those of a JWK by default. Without one it is
    /// tried for every token.
    pub id: Option<String>,
    /// How tokens may be signed with it. All must be of the key's kind.
    pub algorithms: Vec<Algorithm>,
    /// A secret that both sides know, for `HS…`; usually `{ env = "NAME" }`.
    pub secret: Option<Secret>,
    /// A public key in PEM, or a JWK; usually `{ file = "path" }`.
    pub key: Option<Secret>,
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

fn default_refresh() -> Span {
    Span::from_secs(15 * 60)
}

fn default_cooldown() -> Span {
    Span::from_secs(30)
}

fn default_timeout() -> Span {
    Span::from_secs(5)
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

//! The `config` table.

use mortise_plugin_api::Span;
use mortise_plugin_api::prelude::*;

/// The `config` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The rules; at least one. A request has to pass all of them, in this order.
    pub rules: Vec<RuleConfig>,
    /// Which replies carry `x-ratelimit-*`.
    pub headers: Headers,
    /// What becomes of a request when the server cannot count.
    pub on_store_error: OnStoreError,
}

/// A rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// What is limited: requests in each `window` of time, a `bucket` of tokens that fills, or
    /// requests that are `concurrent`.
    #[serde(default)]
    pub limit: Kind,
    /// How many requests; at least 1.
    #[schemars(range(min = 1))]
    pub max: u32,
    /// How long a window is, or how long a bucket takes from empty to full: `"150ms"`, `"30s"`,
    /// `"10m"`, `"1h"`. For `concurrent` there is none.
    #[serde(default)]
    pub window: Option<Span>,
    /// Who is counted alone: any of `"principal"`, `"tenant"`, `"ip"`, `"agent"` and
    /// `"header:NAME"`, together. Empty counts all requests for an agent together.
    #[serde(default)]
    pub key: Vec<String>,
    /// What stands in the key for something that a request does not have.
    #[serde(default)]
    pub absent: String,
    /// The kinds of requests that are counted, such as `"run"` and `"stream"`; empty means all
    /// that are guarded.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub kinds: Vec<RequestKind>,
    /// How many bits of an IPv6 address tell one client from another. A household has the other
    /// half to itself.
    #[serde(default = "half")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix: u8,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Requests in each window of time.
    #[default]
    Window,
    /// Requests out of a bucket that fills evenly.
    Bucket,
    /// Requests that are under way at the same time.
    Concurrent,
}

/// Which replies carry `x-ratelimit-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Headers {
    /// Refusals.
    #[default]
    Refused,
    /// All.
    Always,
}

/// What becomes of a request when the server cannot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreError {
    /// It goes on.
    #[default]
    Allow,
    /// 503.
    Deny,
}

fn half() -> u8 {
    64
}

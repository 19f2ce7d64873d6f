//! `[server.cors]`: which web pages of other origins may call the server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// Which web pages of other origins may call the server. Without origins, none may.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Cors {
    /// The origins, such as `"https://chat.example"`; `"*"` alone stands for every page there is.
    pub origins: Vec<Origin>,
    /// The methods that pages may use.
    pub methods: Vec<String>,
    /// The request headers that pages may set.
    pub headers: Vec<String>,
    /// Let browsers send cookies and stored credentials along. Not with `"*"`. A bearer token that
    /// a page sets itself needs none of this.
    pub credentials: bool,
    /// How long browsers may remember the answer.
    pub max_age: Period,
}

/// Scheme, host and port of a page, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Origin(String);

// === impl Cors ===

impl Default for Cors {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        Self {
            origins: Vec::new(),
            methods: owned(&["GET", "POST", "PUT", "PATCH", "DELETE"]),
            headers: owned(&[
                "authorization",
                "content-type",
                "idempotency-key",
                "last-event-id",
                "x-api-key",
                "x-request-id",
                "x-trace-id",
            ]),
            credentials: false,
            max_age: Period::from_secs(600),
        }
    }
}

impl Cors {
    /// Whether every page may call the server.
    pub fn is_open(&self) -> bool {
        self.origins.iter().any(|it| it.0 == "*")
    }
}

// === impl Origin ===

impl Origin {
    /// The origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_scheme = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_lowercase());
        let is_host = |it: &str| {
            let is_plain =
                |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b".-_:[]".contains(&it);
            !it.is_empty() && it.bytes().all(is_plain)
        };
        let is_origin = text
            .split_once("://")
            .is_some_and(|(scheme, host)| is_scheme(scheme) && is_host(host));
        if text == "*" || is_origin {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is not an origin such as \"https://chat.example\": a scheme and a host in \
             lower case, perhaps a port, and no path"
        ))
    }
}

//! The `config` table, and what may be wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mortise_plugin_api::Span;
use mortise_plugin_api::prelude::*;
use reqwest::Certificate;

use crate::pattern::Pattern;

/// The `config` table.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The servers, by name: a letter or digit, then up to 31 letters, digits, `_` and `-`.
    pub servers: BTreeMap<String, ServerConfig>,
}

/// A server: a `command` that is run, or a `url` that is asked.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// The program to run; it speaks MCP on its standard input and output.
    pub command: Option<String>,
    /// The arguments of the program.
    pub args: Vec<String>,
    /// The whole environment of the program, which inherits nothing. `PATH` is
    /// `/usr/local/bin:/usr/bin:/bin` unless it is set here; `{ env = "NAME" }` passes one on.
    pub env: BTreeMap<String, String>,
    /// The folder that the program runs in; that of the server unless it is set.
    pub cwd: Option<PathBuf>,
    /// The address of a server over HTTP.
    pub url: Option<String>,
    /// What is sent as a bearer token to the `url`; usually `{ env = "NAME" }`.
    pub token: Option<String>,
    /// Headers that are sent to the `url`; values are usually `{ env = "NAME" }`.
    pub headers: BTreeMap<String, String>,
    /// Certificates in PEM that are trusted instead of the system's; usually `{ file = "path" }`.
    pub ca: Option<String>,
    /// Which protocol is spoken.
    pub protocol: Protocol,
    /// Refuse to start when the server cannot be reached. Otherwise it is tried in the background,
    /// and its tools appear when it comes.
    pub required: bool,
    /// How long connecting and listing may take; from `1s` to `25s`.
    pub connect_timeout: Span,
    /// How long a call may take; from `1s` to `24h`. `runs.tool_timeout` holds as well.
    pub call_timeout: Span,
    /// What stands before the names of the tools for models; the server's name and `_` unless it
    /// is set.
    pub prefix: Option<String>,
    /// The tools that are offered, by the names that the server gives them; `*` stands for any
    /// characters.
    pub allow: Vec<String>,
    /// The tools that are not offered, although allowed.
    pub deny: Vec<String>,
    /// The tools whose calls must be approved.
    pub approve: Vec<String>,
    /// Offer the tools `list_resources` and `read_resource`.
    pub resources: bool,
    /// Offer the tools `list_prompts` and `get_prompt`.
    pub prompts: bool,
    /// How many tools the server may list; one that lists more is not connected.
    pub max_tools: usize,
}

/// Which protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum Protocol {
    /// The new one, and the old one with a server that does not know it.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// The handshake, with this version or an older one.
    #[serde(rename = "2025-11-25")]
    Handshake,
    /// Without a handshake.
    #[serde(rename = "2026-07-28")]
    Stateless,
}

/// A server, understood.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) protocol: Protocol,
    pub(crate) is_required: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) prefix: String,
    pub(crate) allow: Vec<Pattern>,
    pub(crate) deny: Vec<Pattern>,
    pub(crate) approve: Vec<Pattern>,
    pub(crate) resources: bool,
    pub(crate) prompts: bool,
    pub(crate) max_tools: usize,
}

/// Where a server is.
pub(crate) enum Place {
    Program(Program),
    Url(Box<Remote>),
}

/// A program that is run.
pub(crate) struct Program {
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: Option<PathBuf>,
}

/// A server over HTTP.
pub(crate) struct Remote {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) headers: HashMap<HeaderName, HeaderValue>,
    /// Instead of the system's, where there are any.
    pub(crate) ca: Vec<Certificate>,
}

const LONGEST_NAME: usize = 32;
const LONGEST_PREFIX: usize = 32;
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The protocol's own.
const RESERVED: [&str; 4] = [
    "accept",
    "mcp-session-id",
    "mcp-protocol-version",
    "last-event-id",
];

// === impl ServerConfig ===

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            url: None,
            token: None,
            headers: BTreeMap::new(),
            ca: None,
            protocol: Protocol::Auto,
            required: true,
            connect_timeout: Span::from_secs(20),
            call_timeout: Span::from_secs(60),
            prefix: None,
            allow: vec!["*".to_owned()],
            deny: Vec::new(),
            approve: Vec::new(),
            resources: false,
            prompts: false,
            max_tools: 256,
        }
    }
}

/// Without the values of what may be secret.
impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("command", &self.command)
            .field("has_url", &self.url.is_some())
            .finish_non_exhaustive()
    }
}

impl ServerConfig {
    /// # Errors
    /// What is wrong, at its place.
    pub(crate) fn understood(self, name: String) -> Result<Settings> {
        let at = |key: &str| format!("/servers/{name}/{key}");
        if !is_name(&name) {
            return Err(Error::config(
                format!("/servers/{name}"),
                "is no name of a server: a letter or digit, then up to 31 letters, digits, \
                 underscores and dashes",
            ));
        }
        let prefix = self.prefix.clone().unwrap_or_else(|| format!("{name}_"));
        let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
        if prefix.len() > LONGEST_PREFIX + 1 || !prefix.chars().all(is_plain) {
            return Err(Error::config(
                at("prefix"),
                "may have up to 33 letters, digits, underscores and dashes",
            ));
        }
        if self.max_tools == 0 {
            return Err(Error::config(
                at("max_tools"),
                "is 0: it must be 1 at least",
            ));
        }
        let up_to = |seconds| Span::from_secs(1)..=Span::from_secs(seconds);
        let connect_timeout = self.connect_timeout;
        let connect_timeout = connect_timeout.within(&at("connect_timeout"), up_to(25))?;
        let call_timeout = self.call_timeout;
        let call_timeout = call_timeout.within(&at("call_timeout"), up_to(24 * 60 * 60))?;
        let patterns = |texts: &[String]| texts.iter().map(|it| Pattern::new(it)).collect();
        Ok(Settings {
            protocol: self.protocol,
            is_required: self.required,
            connect_timeout,
            call_timeout,
            prefix,
            allow: patterns(&self.allow),
            deny: patterns(&self.deny),
            approve: patterns(&self.approve),
            resources: self.resources,
            prompts: self.prompts,
            max_tools: self.max_tools,
            place: self.place(&name)?,
            name,
        })
    }

    fn place(self, name: &str) -> Result<Place> {
        let at = |key: &str| format!("/servers/{name}/{key}");
        match (self.command, self.url) {
            (Some(command), None) => {
                let foreign = [
                    ("token", self.token.is_some()),
                    ("headers", !self.headers.is_empty()),
                    ("ca", self.ca.is_some()),
                ];
                refuse(name, foreign, "url")?;
                if command.trim().is_empty() {
                    return Err(Error::config(at("command"), "is blank"));
                }
                let mut env = self.env;
                env.entry("PATH".to_owned())
                    .or_insert_with(|| DEFAULT_PATH.to_owned());
                Ok(Place::Program(Program {
                    command,
                    args: self.args,
                    env,
                    cwd: self.cwd,
                }))
            }
            (None, Some(url)) => {
                let foreign = [
                    ("args", !self.args.is_empty()),
                    ("env", !self.env.is_empty()),
                    ("cwd", self.cwd.is_some()),
                ];
                refuse(name, foreign, "command")?;
                let parsed = reqwest::Url::parse(&url)
                    .map_err(|error| Error::config(at("url"), format!("is no URL: {error}")))?;
                if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
                    return Err(Error::config(
                        at("url"),
                        "must begin with http:// or https://",
                    ));
                }
                let ca = certificates(self.ca.as_deref())
                    .map_err(|error| Error::config(at("ca"), error))?;
                Ok(Place::Url(Box::new(Remote {
                    url,
                    token: self.token,
                    headers: headers(name, self.headers)?,
                    ca,
                })))
            }
            (None, None) => Err(Error::config(
                format!("/servers/{name}"),
                "has neither a command nor a url",
            )),
            (Some(_), Some(_)) => Err(Error::config(
                at("url"),
                "stands beside a command: a server has one of both",
            )),
        }
    }
}

fn refuse<const N: usize>(name: &str, keys: [(&str, bool); N], other: &str) -> Result<()> {
    match keys.into_iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => Err(Error::config(
            format!("/servers/{name}/{key}"),
            format!("is for servers with a {other}"),
        )),
        None => Ok(()),
    }
}

fn headers(
    server: &str,
    headers: BTreeMap<String, String>,
) -> Result<HashMap<HeaderName, HeaderValue>> {
    let mut parsed = HashMap::with_capacity(headers.len());
    for (name, value) in headers {
        let at = format!("/servers/{server}/headers/{name}");
        let Ok(header) = HeaderName::try_from(name) else {
            return Err(Error::config(at, "is no name of a header"));
        };
        if RESERVED.contains(&header.as_str()) {
            return Err(Error::config(at, "is a header of the protocol's own"));
        }
        let Ok(mut value) = HeaderValue::try_from(value.trim()) else {
            return Err(Error::config(at, "is no value of a header"));
        };
        value.set_sensitive(true);
        parsed.insert(header, value);
    }
    Ok(parsed)
}

fn certificates(pem: Option<&str>) -> Result<Vec<Certificate>, &'static str> {
    let Some(pem) = pem else {
        return Ok(Vec::new());
    };
    match Certificate::from_pem_bundle(pem.as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("holds no certificate in PEM"),
    }
}

fn is_name(text: &str) -> bool {
    let starts_well = text.starts_with(|it: char| it.is_ascii_alphanumeric());
    starts_well
        && text.len() <= LONGEST_NAME
        && text
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: Value) -> Error {
        let config: ServerConfig = serde_json::from_value(config).unwrap();
        match config.understood("docs".to_owned()) {
            Ok(_) => panic!("it was understood"),
            Err(error) => error,
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place() {
        let url = "http://127.0.0.1/mcp";
        for (config, place, says) in [
            (json!({}), "/servers/docs", "neither a command nor a url"),
            (
                json!({ "command": "a", "url": url }),
                "/servers/docs/url",
                "one of both",
            ),
            (json!({ "command": " " }), "/servers/docs/command", "blank"),
            (
                json!({ "command": "a", "token": "t" }),
                "/servers/docs/token",
                "with a url",
            ),
            (
                json!({ "url": url, "env": { "A": "b" } }),
                "/servers/docs/env",
                "with a command",
            ),
            (json!({ "url": "docs" }), "/servers/docs/url", "no URL"),
            (
                json!({ "url": "file:///etc" }),
                "/servers/docs/url",
                "http://",
            ),
            (
                json!({ "url": url, "headers": { "a b": "c" } }),
                "/servers/docs/headers/a b",
                "name",
            ),
            (
                json!({ "url": url, "headers": { "Accept": "c" } }),
                "/servers/docs/headers/Accept",
                "own",
            ),
            (
                json!({ "url": url, "headers": { "x": "\n\u{0}" } }),
                "/servers/docs/headers/x",
                "value",
            ),
            (
                json!({ "url": url, "ca": "no PEM" }),
                "/servers/docs/ca",
                "certificate",
            ),
            (
                json!({ "url": url, "connect_timeout": "1m" }),
                "/servers/docs/connect_timeout",
                "25s",
            ),
            (
                json!({ "url": url, "call_timeout": "25h" }),
                "/servers/docs/call_timeout",
                "to 1day",
            ),
            (
                json!({ "url": url, "prefix": "a.b" }),
                "/servers/docs/prefix",
                "letters",
            ),
            (
                json!({ "url": url, "max_tools": 0 }),
                "/servers/docs/max_tools",
                "1 at least",
            ),
        ] {
            let error = refusal(config);
            assert_eq!(error.issues()[0].path, place);
            assert!(error.message().contains(says), "{error:?}");
        }
    }

    #[test]
    fn names_that_cannot_stand_in_names_of_tools_are_refused() {
        for name in ["", "_a", "a.b", "ä", &"a".repeat(33)] {
            let config = ServerConfig {
                command: Some("a".to_owned()),
                ..ServerConfig::default()
            };
            assert!(config.understood(name.to_owned()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let config: Config = serde_json::from_value(json!({ "servers": {
            "a": { "url": "http://h/?key=geheim", "token": "geheim", "headers": { "x": "geheim" } },
            "b": { "command": "run", "env": { "KEY": "geheim" } },
        } }))
        .unwrap();
        assert!(!format!("{config:?}").contains("geheim"));
    }
}

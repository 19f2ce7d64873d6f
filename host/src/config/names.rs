//! The names that a configuration gives, each with its grammar.

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a plugin instance: a letter or digit, then up to 63 letters, digits, `.`, `_`, `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct InstanceName(String);

/// The name of an agent: as an instance name, and none of the words that routes have taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct AgentName(String);

/// The bare name of a library: `jwt_auth` for `libjwt_auth.so`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct LibraryName(String);

/// The SHA-256 of a library, 64 digits in hex, as `sha256sum` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct LibraryDigest(String);

/// Something that a plugin instance offers, written `instance/name`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct CapabilityName {
    /// The plugin instance.
    pub instance: InstanceName,
    /// What the instance calls it; may hold further slashes.
    pub name: String,
}

/// A name of the operator's own for a model: as an instance name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AliasName(InstanceName);

/// A model: an alias of `[models]`, or `instance/model`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct ModelName(String);

/// The name of a tool, or of many: `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct ToolPattern(String);

impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const RESERVED_AGENT_NAMES: [&str; 5] = ["-", "livez", "readyz", "metrics", "openapi.json"];

const LONGEST_NAME: usize = 64;

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    text.len() <= LONGEST_NAME
        && characters
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && characters.all(|it| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-'))
}

const GRAMMAR: &str =
    "a name is a letter or digit, then up to 63 letters, digits, dots, underscores and dashes";

// === impl InstanceName ===

impl InstanceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InstanceName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_name(&text) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not a name; {GRAMMAR}"))
        }
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// === impl AgentName ===

impl AgentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for AgentName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AgentName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if RESERVED_AGENT_NAMES.contains(&text.as_str()) {
            return Err(format!("{text:?} is no agent name: a route has taken it"));
        }
        if !is_name(&text) {
            return Err(format!("{text:?} is not a name; {GRAMMAR}"));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// === impl LibraryName ===

impl LibraryName {
    /// The library that an instance is loaded from unless its entry says otherwise.
    pub fn of_instance(name: &InstanceName) -> Self {
        Self(name.0.replace('-', "_"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file in the plugin folder.
    pub fn file_name(&self) -> String {
        format!("lib{}.so", self.0)
    }
}

impl TryFrom<String> for LibraryName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_file = Path::new(&text).extension().is_some_and(|it| it == "so");
        if is_file || text.contains(['/', '\\']) {
            return Err(format!(
                "{text:?} is a file; a library is found in plugins.dir by its bare name, such as \
                 \"auth\" for libauth.so"
            ));
        }
        if !is_name(&text) {
            return Err(format!("{text:?} is not a name; {GRAMMAR}"));
        }
        Ok(Self(text))
    }
}

// === impl LibraryDigest ===

impl LibraryDigest {
    /// The digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LibraryDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(format!(
                "{text:?} is no SHA-256, which has 64 digits in hex; sha256sum prints it"
            ))
        }
    }
}

// === impl CapabilityName ===

impl TryFrom<String> for CapabilityName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('/') {
            Some((instance, name)) if !name.is_empty() => Ok(Self {
                instance: InstanceName::try_from(instance.to_owned())?,
                name: name.to_owned(),
            }),
            _ => Err(format!(
                "{text:?} does not name a plugin; write \"instance/name\", such as \
                 \"llm/openai/gpt-4.1\""
            )),
        }
    }
}

impl fmt::Display for CapabilityName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.instance, self.name)
    }
}

// === impl AliasName ===

impl AliasName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

// === impl ModelName ===

impl ModelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of `[models]`, rather than a plugin's own.
    pub fn is_alias(&self) -> bool {
        !self.0.contains('/')
    }
}

impl TryFrom<String> for ModelName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('/') {
            CapabilityName::try_from(text.clone())?;
        } else if !is_name(&text) {
            return Err(format!(
                "{text:?} names no model; write \"instance/model\", such as \"llm/openai/gpt-4.1\", \
                 or an alias of [models]"
            ));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// === impl ToolPattern ===

impl ToolPattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one name rather than a pattern for many.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether the tool of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            let Some(found) = rest.find(part) else {
                return false;
            };
            rest = &rest[found + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl TryFrom<String> for ToolPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(format!("{text:?} is not the name of a tool"));
        }
        Ok(Self(text))
    }
}

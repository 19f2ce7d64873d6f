//! Names in a plugin's configuration that the server checks.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $format:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The `format` in its JSON Schema, by which the server knows it.
            pub const FORMAT: &str = $format;
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": Self::FORMAT })
            }
        }
    };
}

name! {
    /// The name of an agent, in a plugin's configuration. One that no agent of the server has ends
    /// the start, at its place in the file.
    ///
    /// ```
    /// use mortise_plugin_api::{AgentName, schemars::JsonSchema};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Config {
    ///     /// Whom it is for; empty means all.
    ///     #[serde(default)]
    ///     agents: Vec<AgentName>,
    /// }
    ///
    /// fn is_for(config: &Config, agent: &str) -> bool {
    ///     config.agents.is_empty() || config.agents.iter().any(|name| **name == *agent)
    /// }
    /// ```
    AgentName, "mortise-agent"
}

name! {
    /// The name of an instance of a plugin, in a plugin's configuration. One that no instance of
    /// the server has ends the start, at its place in the file.
    InstanceName, "mortise-instance"
}

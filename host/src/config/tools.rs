//! The `[tools]` section: client tools, and what the operator changes about a library's tools.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use mortise_plugin_api::ToolErrorMode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::{Deadline, FreeTable, ToolPattern};

/// The tools that need more than their library says.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tools {
    /// The tools that every agent may call.
    pub shared: Vec<ToolPattern>,
    /// The tools that clients may call themselves.
    pub endpoints: Vec<ToolPattern>,
    /// The tables `[tools.NAME]`.
    pub named: BTreeMap<String, Tool>,
}

/// A client tool, or what the operator changes about a library's tool.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Tool {
    /// The client runs this tool and sends the result.
    pub client: bool,
    /// What the model is told about the tool.
    pub description: Option<String>,
    /// The JSON Schema of a client tool's arguments.
    pub schema: Option<FreeTable>,
    /// How long a run waits for the client's result. Unset means `runs.client_tool_result_timeout`.
    pub result_timeout: Option<Deadline>,
    /// What a failure of the tool does to the run. Unset means `agents.NAME.tool_error_mode`.
    pub error_mode: Option<ToolErrorMode>,
    /// Who must agree before the tool runs.
    pub approval: Option<Approval>,
    /// Whether the tool may run again after a crash of the server that it was at work in. Unset
    /// means what its library says. The run of a tool that may not ends as interrupted.
    pub idempotent: Option<bool>,
}

/// Who must agree before a tool runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Approval {
    /// Every call waits for an approval.
    pub required: bool,
    /// How long a call waits. Unset means `runs.tool_approval_timeout`.
    pub timeout: Option<Deadline>,
    /// What the approver is shown besides the arguments.
    pub meta: Option<FreeTable>,
    /// The owner of the run must not decide: four eyes.
    pub excludes_owner: bool,
    /// The scope that lets others of the owner's tenant decide. Unset means what the tool's library
    /// says, else `runs:approve`.
    pub scope: Option<String>,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            required: true,
            timeout: None,
            meta: None,
            excludes_owner: false,
            scope: None,
        }
    }
}

// === impl Tools ===

struct ToolsVisitor;

impl<'de> Visitor<'de> for ToolsVisitor {
    type Value = Tools;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a table of tools")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tools, A::Error> {
        let mut tools = Tools::default();
        while let Some(name) = entries.next_key::<String>()? {
            match name.as_str() {
                "shared" => tools.shared = entries.next_value()?,
                "endpoints" => tools.endpoints = entries.next_value()?,
                _ => {
                    tools.named.insert(name, entries.next_value()?);
                }
            }
        }
        Ok(tools)
    }
}

impl<'de> Deserialize<'de> for Tools {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ToolsVisitor)
    }
}

/// By hand, because the names of tools, `shared` and `endpoints` stand side by side.
impl JsonSchema for Tools {
    fn schema_name() -> Cow<'static, str> {
        "Tools".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The tools that need more than their library says.",
            "type": "object",
            "properties": {
                "shared": {
                    "description": "The tools that every agent may call; `*` stands for any \
                                    characters.",
                    "type": "array",
                    "items": { "type": "string" },
                    "default": [],
                },
                "endpoints": {
                    "description": "The tools that clients may call themselves, with `POST \
                                    /tools/NAME/execute`; `*` stands for any characters.",
                    "type": "array",
                    "items": { "type": "string" },
                    "default": [],
                },
            },
            "additionalProperties": generator.subschema_for::<Tool>(),
        })
    }
}

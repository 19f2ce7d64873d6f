//! A run that a plugin asks for.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::principal::Principal;
use crate::tool::ToolErrorMode;

/// A run that a plugin asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunRequest {
    /// The agent.
    pub agent: String,
    /// A text or a list of items, as clients send it.
    pub input: Value,
    /// The context, validated against the agent's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// The conversation to continue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// Generation options for this run, laid over those of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_options: Option<Map<String, Value>>,
    /// The JSON Schema of a structured result, in place of that of a declared agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Whose run it is; the default principal where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// What becomes of a call of a tool that the agent does not have; the run fails where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_tool_mode: Option<ToolErrorMode>,
}

// === impl RunRequest ===

impl RunRequest {
    /// A run of this agent with a text or a list of items.
    pub fn new(agent: impl Into<String>, input: impl Into<Value>) -> Self {
        Self {
            agent: agent.into(),
            input: input.into(),
            context: None,
            conversation_id: None,
            model_options: None,
            output_schema: None,
            principal: None,
            unknown_tool_mode: None,
        }
    }

    /// The context, validated against the agent's schema.
    #[must_use]
    pub fn with_context(mut self, context: Value) -> Self {
        self.context = Some(context);
        self
    }

    /// The conversation to continue.
    #[must_use]
    pub fn with_conversation(mut self, id: impl Into<String>) -> Self {
        self.conversation_id = Some(id.into());
        self
    }

    /// Generation options for this run, such as `temperature`.
    #[must_use]
    pub fn with_model_options(mut self, options: Map<String, Value>) -> Self {
        self.model_options = Some(options);
        self
    }

    /// The JSON Schema of a structured result, in place of that of a declared agent. An agent whose
    /// loop is Rust has its own alone.
    #[must_use]
    pub fn with_output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// What becomes of a call of a tool that the agent does not have.
    #[must_use]
    pub fn with_unknown_tool_mode(mut self, mode: ToolErrorMode) -> Self {
        self.unknown_tool_mode = Some(mode);
        self
    }

    /// Whose run it is.
    #[must_use]
    pub fn with_principal(mut self, principal: Principal) -> Self {
        self.principal = Some(principal);
        self
    }
}

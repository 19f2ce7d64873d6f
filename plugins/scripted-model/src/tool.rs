//! Tools that answer with a text, for agents that have no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::probe::Probe;

/// A tool that answers with a text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolConfig {
    /// The name.
    pub name: String,
    /// Its arguments, all required, each with its JSON type.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
    /// What it answers; `{NAME}` stands for an argument.
    pub answer: String,
    /// Whether each call must be approved.
    #[serde(default)]
    pub approval: bool,
    /// The key under which the probe counts its calls.
    #[serde(default)]
    pub counted_as: Option<String>,
}

pub(crate) struct ScriptedTool {
    config: ToolConfig,
    probe: Arc<Probe>,
}

// === impl ScriptedTool ===

impl ScriptedTool {
    pub(crate) fn new(config: ToolConfig, probe: Arc<Probe>) -> Self {
        if let Some(key) = &config.counted_as {
            probe.count(key, 0);
        }
        Self { config, probe }
    }
}

impl Tool for ScriptedTool {
    fn info(&self) -> ToolInfo {
        let arguments = self.config.arguments.iter();
        let properties: BTreeMap<_, _> = arguments
            .map(|(name, kind)| (name, json!({ "type": kind })))
            .collect();
        let required: Vec<_> = self.config.arguments.keys().collect();
        let schema = json!({
            "type": "object", "properties": properties, "required": required,
            "additionalProperties": false,
        });
        let info = ToolInfo::of_schema(&self.config.name, "", schema);
        if self.config.approval {
            info.with_approval()
        } else {
            info
        }
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        if let Some(key) = &self.config.counted_as {
            self.probe.count(key, 1);
        }
        let mut answer = self.config.answer.clone();
        for (name, value) in arguments.as_object().into_iter().flatten() {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            answer = answer.replace(&format!("{{{name}}}"), &text);
        }
        Ok(answer.into())
    }
}

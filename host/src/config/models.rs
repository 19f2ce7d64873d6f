//! The `[models.NAME]` sections: names of the operator's own for models of plugins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CapabilityName, FreeTable};

/// A model under a name of the operator's own.
///
/// Agents that name the alias change their model at one place.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelAlias {
    /// The model, as `"instance/model"`.
    pub model: CapabilityName,
    /// What the model has to be able to do, or the server does not start.
    #[serde(default)]
    pub capabilities: Vec<ModelCapability>,
    /// What is handed to the model with every request, below `model_options` of the agent.
    /// `{ env = "NAME" }` and `{ file = "path" }` stand for a secret, at any depth.
    #[serde(default)]
    pub defaults: FreeTable,
}

/// Something that a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelCapability {
    /// It takes instructions.
    Instructions,
    /// It calls tools.
    Tools,
    /// It can be held to a JSON Schema.
    StructuredOutput,
    /// It takes images.
    Image,
    /// It takes sound.
    Audio,
    /// It takes videos.
    Video,
    /// It takes files.
    File,
}

// === impl ModelCapability ===

impl ModelCapability {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Tools => "tools",
            Self::StructuredOutput => "structured_output",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::File => "file",
        }
    }
}

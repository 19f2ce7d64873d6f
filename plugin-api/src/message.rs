//! What agents and models say to each other: items, parts, responses, usage.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Item {
    /// Something that was said.
    #[serde(rename = "message")]
    Message(Message),
    /// A tool call; with `result` it is the answer to the call of the same id.
    #[serde(rename = "tool-call")]
    ToolCall(ToolCallItem),
    /// Whatever else a client or a model puts into a conversation; kept as it is.
    #[serde(untagged)]
    Other(Value),
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `user`, `assistant`, `system`, or a role the model knows.
    pub role: String,
    /// What was said.
    pub content: Content,
    /// Whatever else the client sent along; kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool call, or its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallItem {
    /// The id of the call, unique in its run.
    pub call_id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the model wrote them: usually JSON, not always valid.
    #[serde(default)]
    pub arguments: String,
    /// The result, on the item that answers the call (`null` is a result).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some_value"
    )]
    pub result: Option<Value>,
    /// Whether the result tells of a failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// The content of a message: a plain text, or parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// A plain text.
    Text(String),
    /// Parts, in order.
    Parts(Vec<Part>),
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// What the model thought before it spoke.
    Reasoning {
        /// The thought, or a summary of it.
        text: String,
        /// How much of it is shown.
        visibility: Visibility,
        /// What the provider needs to see again, such as a signature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<Value>,
    },
    /// An image, a video, a sound, a file or any other part; kept as it is.
    #[serde(untagged)]
    Other(Value),
}

/// How much of a model's reasoning is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// A summary.
    #[default]
    Summary,
    /// All of it.
    Full,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelResponse {
    /// Messages and tool calls, in order.
    pub output: Vec<Item>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// What it cost.
    #[serde(default)]
    pub usage: Usage,
    /// What was sent to the provider, where the model tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
    /// What the provider sent, where the model tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// It had said everything.
    #[default]
    Stop,
    /// It ran out of tokens.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
    /// It wants tools called.
    ToolCalls,
    /// It was interrupted.
    Abort,
    /// Another reason.
    #[serde(other)]
    Other,
}

/// What a call cost, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Their sum, as the provider counts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Tokens written for reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Tokens read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
}

/// What a whole run has used, over all its answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TotalUsage {
    /// The tokens.
    #[serde(flatten)]
    pub tokens: Usage,
    /// What they cost, as a decimal number; `None` where the models have no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
}

// `Option<Value>` would read `null` as "absent"; here it is a result.
fn some_value<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

// === impl Item ===

impl Item {
    /// A message with a plain text.
    pub fn message(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Message(Message {
            role: role.into(),
            content: Content::Text(text.into()),
            extra: Map::new(),
        })
    }

    /// A message of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self::message("user", text)
    }

    /// A message of the agent.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::parts("assistant", vec![Part::text(text)])
    }

    /// A message made of parts.
    pub fn parts(role: impl Into<String>, parts: Vec<Part>) -> Self {
        Self::Message(Message {
            role: role.into(),
            content: Content::Parts(parts),
            extra: Map::new(),
        })
    }

    /// The text of a message, its text parts joined; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Self::Message(message) => message.content.text(),
            _ => String::new(),
        }
    }

    /// Whether this is a message of that role.
    pub fn is_message_of(&self, role: &str) -> bool {
        matches!(self, Self::Message(message) if message.role == role)
    }
}

// === impl Content ===

impl Content {
    /// The text, or the text parts joined.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Text { text } => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
        }
    }
}

// === impl Part ===

impl Part {
    /// A picture, a sound, a film or a file of this MIME type, as base64.
    pub fn media(mime: &str, base64: &str) -> Self {
        let kind = mime.split('/').next().unwrap_or_default();
        let is_known = matches!(kind, "image" | "audio" | "video");
        let kind = if is_known { kind } else { "file" };
        Self::Other(serde_json::json!({
            "type": kind,
            "source": { "kind": "base64", "data": base64, "mimeType": mime },
        }))
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

// === impl ModelResponse ===

impl ModelResponse {
    /// An answer that is one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            output: vec![Item::assistant(text)],
            ..Self::default()
        }
    }

    /// The text of all its messages, joined.
    pub fn text_content(&self) -> String {
        self.output.iter().map(Item::text).collect()
    }
}

//! What a provider wants to see again with an answer: signatures of thoughts and of calls.
//!
//! It is kept with the reasoning, in the conversation, and is of use to the same provider alone.

use std::collections::BTreeMap;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Content, Message, Part};
use serde::Serialize;

/// What stands in `provider` of a reasoning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remembered {
    /// The provider whose it is.
    pub(crate) by: String,
    /// How many calls the answer made: a conversation does not tell calls of one answer from calls
    /// of two.
    #[serde(default)]
    pub(crate) calls: usize,
    /// Thoughts, each with its signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) thoughts: Vec<Thought>,
    /// Signatures of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signatures: Vec<String>,
    /// Signatures of calls, by their place in the answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) call_signatures: BTreeMap<usize, Vec<String>>,
}

/// A thought that the provider has signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Thought {
    /// In words.
    Signed { text: String, signature: String },
    /// As the provider's own value.
    Whole(Value),
}

// === impl Remembered ===

impl Remembered {
    /// What is remembered of a message, if this provider has said it.
    pub(crate) fn of(message: &Message, provider: &str) -> Option<Self> {
        let Content::Parts(parts) = &message.content else {
            return None;
        };
        let remembered: Self = parts.iter().rev().find_map(|part| match part {
            Part::Reasoning {
                provider: Some(value),
                ..
            } => serde_json::from_value(value.clone()).ok(),
            _ => None,
        })?;
        (remembered.by == provider).then_some(remembered)
    }

    pub(crate) fn is_signed(&self) -> bool {
        !(self.thoughts.is_empty() && self.signatures.is_empty() && self.call_signatures.is_empty())
    }
}

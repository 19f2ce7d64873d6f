//! What a script decides: chunks, waits, and how the answer ends.

use std::time::Duration;

use mortise_plugin_api::Visibility;
use mortise_plugin_api::prelude::*;

/// An answer, decided in full before its first chunk is sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

/// One thing that the player does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Wait(Duration),
    Say(Chunk),
    Fail(Error),
}

/// A tool call with its arguments as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new() -> Self {
        Self { steps: Vec::new() }
    }

    /// Fails before anything is said.
    pub(crate) fn failure(error: Error) -> Self {
        Self::new().fail(error)
    }

    pub(crate) fn wait(mut self, duration: Duration) -> Self {
        self.steps.push(Step::Wait(duration));
        self
    }

    pub(crate) fn say(mut self, chunk: Chunk) -> Self {
        self.steps.push(Step::Say(chunk));
        self
    }

    pub(crate) fn text(self, delta: impl Into<String>) -> Self {
        self.say(Chunk::text(delta))
    }

    pub(crate) fn reasoning(self, delta: &str) -> Self {
        self.say(Chunk::Reasoning {
            delta: delta.to_owned(),
            visibility: Visibility::Summary,
        })
    }

    /// A call whose arguments come in two halves; an empty half is left out.
    pub(crate) fn call(mut self, call: &Call) -> Self {
        self = self.say(Chunk::tool_call_start(&call.id, &call.name));
        let (first, second) = halves(&call.arguments);
        for half in [first, second] {
            if !half.is_empty() {
                self = self.say(Chunk::tool_call_arguments(&call.id, half));
            }
        }
        self.say(Chunk::tool_call_end(&call.id))
    }

    pub(crate) fn fail(mut self, error: Error) -> Self {
        self.steps.push(Step::Fail(error));
        self
    }

    /// The end of an answer that cost so much.
    pub(crate) fn finish(
        self,
        reason: FinishReason,
        input_tokens: u64,
        output_tokens: u64,
    ) -> Self {
        let usage = Usage {
            input_tokens: Some(input_tokens),
            output_tokens: Some(output_tokens),
            total_tokens: Some(input_tokens + output_tokens),
            ..Usage::default()
        };
        self.say(Chunk::Usage { usage }).say(Chunk::finish(reason))
    }
}

// The first half is the longer one. Counted in characters, so that no character is cut.
fn halves(text: &str) -> (&str, &str) {
    let middle = text.chars().count().div_ceil(2);
    let at = text
        .char_indices()
        .nth(middle)
        .map_or(text.len(), |(index, _)| index);
    text.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_half_is_the_longer_one_and_no_character_is_cut() {
        assert_eq!(halves("abc"), ("ab", "c"));
        assert_eq!(halves("äöü€"), ("äö", "ü€"));
        assert_eq!(halves("x"), ("x", ""));
        assert_eq!(halves(""), ("", ""));
    }
}

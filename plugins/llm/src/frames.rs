//! What genai's events leave out of a provider's frames: which call a piece of arguments is of, and
//! what thinking has cost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use mortise_plugin_api::prelude::*;

/// What was read from the frames.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// The `index` of each piece of a call, in the order of the events that are made of them.
    indexes: VecDeque<u32>,
    thinking_tokens: Option<u64>,
}

/// A frame of chat completions, as far as it matters.
#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Deserialize, Default)]
struct Delta {
    #[serde(default)]
    tool_calls: Vec<Piece>,
}

#[derive(Deserialize)]
struct Piece {
    index: Option<u32>,
    function: Option<serde::de::IgnoredAny>,
}

// === impl Frames ===

impl Frames {
    /// Which call the next piece is of.
    pub(crate) fn next_index(&self) -> Option<u32> {
        self.seen().indexes.pop_front()
    }

    pub(crate) fn thinking_tokens(&self) -> Option<u64> {
        self.seen().thinking_tokens
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        // Most frames are text, and are not read twice.
        if frame.data.contains("\"tool_calls\"") {
            let Ok(Frame { choices }) = serde_json::from_str(frame.data) else {
                return;
            };
            let first = choices.into_iter().take(1);
            let pieces = first.flat_map(|it| it.delta.tool_calls);
            // The others make no event.
            let indexes = pieces.filter_map(|it| it.function.and(it.index));
            self.seen().indexes.extend(indexes);
        } else if frame.data.contains("\"thinking_tokens\"") {
            let tokens = frame.json();
            let tokens = tokens
                .as_ref()
                .and_then(|it| it.pointer("/usage/output_tokens_details/thinking_tokens"));
            if let Some(tokens) = tokens.and_then(Value::as_u64) {
                self.seen().thinking_tokens = Some(tokens);
            }
        }
    }
}

//! What genai's events leave out of a provider's frames: which call a piece of arguments is of.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use serde::Deserialize;

/// The `index` of each piece of a call, in the order of the events that are made of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallIndexes(Arc<Mutex<VecDeque<u32>>>);

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

// === impl CallIndexes ===

impl CallIndexes {
    /// Which call the next piece is of.
    pub(crate) fn next(&self) -> Option<u32> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

impl ChatFrameSink for CallIndexes {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        // Most frames are text, and are not read twice.
        if !frame.data.contains("\"tool_calls\"") {
            return;
        }
        let Ok(Frame { choices }) = serde_json::from_str(frame.data) else {
            return;
        };
        let pieces = choices
            .into_iter()
            .take(1)
            .flat_map(|it| it.delta.tool_calls);
        // The others make no event.
        let indexes = pieces.filter_map(|it| it.function.and(it.index));
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(indexes);
    }
}

//! A provider's answer, from genai's events to chunks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use genai::chat::{ChatStreamEvent, ContentPart, MessageContent, StopReason, StreamEnd, ToolCall};
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Usage, Visibility};

use crate::api::Api;
use crate::call_ids::CallIds;
use crate::failure::Failure;
use crate::frames::Frames;
use crate::names::Names;
use crate::remembered::{Remembered, Thought};

/// Takes an answer in, event by event.
pub(crate) struct Translator {
    api: Api,
    provider: String,
    names: Arc<Names>,
    frames: Frames,
    ids: CallIds,
    calls: Vec<Call>,
    signatures: Vec<String>,
    has_reasoned: bool,
}

/// A call that is being written.
struct Call {
    /// What the provider tells its calls apart by.
    key: Key,
    id: String,
    /// Whether its start was told, for which its name has to be known.
    is_begun: bool,
    arguments: String,
    signatures: Vec<String>,
}

#[derive(PartialEq)]
enum Key {
    Index(u32),
    Id(String),
    /// It came whole.
    None,
}

// === impl Translator ===

impl Translator {
    pub(crate) fn new(api: Api, provider: &str, names: Arc<Names>, frames: Frames) -> Self {
        Self {
            api,
            provider: provider.to_owned(),
            names,
            frames,
            ids: CallIds::default(),
            calls: Vec::new(),
            signatures: Vec::new(),
            has_reasoned: false,
        }
    }

    /// Takes an event; what it means is appended to `chunks`.
    pub(crate) fn take(
        &mut self,
        event: ChatStreamEvent,
        chunks: &mut VecDeque<Chunk>,
    ) -> Result<(), Failure> {
        match event {
            ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => {}
            ChatStreamEvent::Chunk(text) if text.content.is_empty() => {}
            ChatStreamEvent::Chunk(text) => chunks.push_back(Chunk::text(text.content)),
            ChatStreamEvent::ReasoningChunk(thought) => self.reason(thought.content, chunks),
            // Those of Anthropic come again, with their thoughts, at the end.
            ChatStreamEvent::ThoughtSignatureChunk(signature) => {
                if self.api == Api::Gemini {
                    self.signatures.push(signature.content);
                }
            }
            ChatStreamEvent::ToolCallChunk(piece) => self.call(piece.tool_call, chunks),
            ChatStreamEvent::End(end) => self.end(&end, chunks)?,
        }
        Ok(())
    }

    fn reason(&mut self, delta: String, chunks: &mut VecDeque<Chunk>) {
        self.has_reasoned = true;
        let visibility = match self.api {
            Api::Anthropic | Api::Gemini => Visibility::Summary,
            Api::OpenAI | Api::Ollama => Visibility::Full,
        };
        chunks.push_back(Chunk::Reasoning { delta, visibility });
    }

    fn call(&mut self, piece: ToolCall, chunks: &mut VecDeque<Chunk>) {
        match self.api {
            Api::OpenAI => {
                let last = self.calls.len().saturating_sub(1);
                let index = self.frames.next_index().map_or(Key::None, Key::Index);
                let known = match index {
                    Key::None => (last < self.calls.len()).then_some(last),
                    ref key => self.calls.iter().position(|call| call.key == *key),
                };
                let at = known.unwrap_or_else(|| self.begin(index, Some(&piece.call_id)));
                let delta = text(&piece.fn_arguments).to_owned();
                self.write(at, &piece.fn_name, delta, chunks);
            }
            // Its calls come one after the other, each piece with all the arguments until then.
            Api::Anthropic => {
                let whole = text(&piece.fn_arguments);
                let is_same = |call: &Call| {
                    call.key == Key::Id(piece.call_id.clone()) && whole.starts_with(&call.arguments)
                };
                let known = self.calls.last().is_some_and(is_same);
                let at = if known {
                    self.calls.len() - 1
                } else {
                    let key = Key::Id(piece.call_id.clone());
                    self.begin(key, Some(&piece.call_id))
                };
                let delta = whole[self.calls[at].arguments.len()..].to_owned();
                self.write(at, &piece.fn_name, delta, chunks);
            }
            Api::Gemini | Api::Ollama => {
                // What Ollama has no id for, and Gemini none of its own, genai has made up.
                let is_given = self.api == Api::Gemini && !piece.call_id.starts_with("call#");
                let at = self.begin(Key::None, is_given.then_some(piece.call_id.as_str()));
                self.calls[at].signatures = piece.thought_signatures.unwrap_or_default();
                let arguments = match piece.fn_arguments {
                    Value::Null => "{}".to_owned(),
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                self.write(at, &piece.fn_name, arguments, chunks);
            }
        }
    }

    fn begin(&mut self, key: Key, given: Option<&str>) -> usize {
        self.calls.push(Call {
            key,
            id: self.ids.next(given),
            is_begun: false,
            arguments: String::new(),
            signatures: Vec::new(),
        });
        self.calls.len() - 1
    }

    /// Goes on with a call; its start is told as soon as its name is known.
    fn write(&mut self, at: usize, name: &str, delta: String, chunks: &mut VecDeque<Chunk>) {
        let call = &mut self.calls[at];
        call.arguments.push_str(&delta);
        let mut told = delta;
        if !call.is_begun {
            if name.is_empty() {
                return;
            }
            call.is_begun = true;
            chunks.push_back(Chunk::tool_call_start(&call.id, self.names.meant(name)));
            told.clone_from(&call.arguments);
        }
        if !told.is_empty() {
            chunks.push_back(Chunk::tool_call_arguments(&call.id, told));
        }
    }

    fn end(&mut self, end: &StreamEnd, chunks: &mut VecDeque<Chunk>) -> Result<(), Failure> {
        // These two say why they end with the last piece; genai makes an end where there was none.
        let is_cut = match self.api {
            Api::Gemini => end.captured_stop_reason.is_none(),
            Api::Ollama => end.captured_stop_reason.is_none() && end.captured_usage.is_none(),
            Api::OpenAI | Api::Anthropic => false,
        };
        if is_cut {
            return Err(Failure::truncated());
        }
        for call in &self.calls {
            if !call.is_begun {
                return Err(Failure::unreadable("a tool call has no name"));
            }
            if call.arguments.is_empty() {
                chunks.push_back(Chunk::tool_call_arguments(&call.id, "{}"));
            }
            chunks.push_back(Chunk::tool_call_end(&call.id));
        }
        self.remember(end, chunks);
        if let Some(usage) = &end.captured_usage {
            let mut usage = usage_of(usage);
            usage.reasoning_tokens = usage.reasoning_tokens.or(self.frames.thinking_tokens());
            chunks.push_back(Chunk::Usage { usage });
        }
        let reason = self.reason_of(end.captured_stop_reason.as_ref());
        chunks.push_back(Chunk::finish(reason));
        Ok(())
    }

    fn remember(&self, end: &StreamEnd, chunks: &mut VecDeque<Chunk>) {
        let call_signatures: BTreeMap<usize, Vec<String>> = self
            .calls
            .iter()
            .enumerate()
            .filter(|(_, call)| !call.signatures.is_empty())
            .map(|(place, call)| (place, call.signatures.clone()))
            .collect();
        // Those of calls were told on their own, too.
        let is_of_call = |it: &&String| call_signatures.values().flatten().any(|own| own == *it);
        let signatures = self.signatures.iter().filter(|it| !is_of_call(it));
        let remembered = Remembered {
            by: self.provider.clone(),
            calls: self.calls.len(),
            thoughts: thoughts(end),
            signatures: signatures.cloned().collect(),
            call_signatures,
        };
        if !self.has_reasoned {
            if !remembered.is_signed() {
                return;
            }
            // It needs a reasoning to be kept with.
            chunks.push_back(Chunk::Reasoning {
                delta: String::new(),
                visibility: Visibility::Summary,
            });
        }
        if let Ok(provider) = serde_json::to_value(remembered) {
            chunks.push_back(Chunk::ReasoningProvider { provider });
        }
    }

    fn reason_of(&self, stop: Option<&StopReason>) -> FinishReason {
        match stop {
            Some(StopReason::MaxTokens(_)) => FinishReason::Length,
            Some(StopReason::ContentFilter(_)) => FinishReason::ContentFilter,
            // Some say that they have stopped when they want tools called.
            _ if !self.calls.is_empty() => FinishReason::ToolCalls,
            Some(StopReason::Completed(_) | StopReason::StopSequence(_)) | None => {
                FinishReason::Stop
            }
            Some(StopReason::ToolCall(_) | StopReason::Other(_)) => FinishReason::Other,
        }
    }
}

fn text(arguments: &Value) -> &str {
    arguments.as_str().unwrap_or_default()
}

/// The signed thoughts of Anthropic, in their order.
fn thoughts(end: &StreamEnd) -> Vec<Thought> {
    let mut thoughts = Vec::new();
    let mut signed: Option<String> = None;
    for part in end.captured_content.iter().flat_map(MessageContent::parts) {
        match part {
            ContentPart::ThoughtSignature(signature) => signed = Some(signature.clone()),
            ContentPart::ReasoningContent(text) => {
                if let Some(signature) = signed.take() {
                    let text = text.clone();
                    thoughts.push(Thought::Signed { text, signature });
                }
            }
            ContentPart::Custom(custom) => thoughts.push(Thought::Whole(custom.data.clone())),
            _ => {}
        }
    }
    thoughts
}

fn usage_of(usage: &genai::chat::Usage) -> Usage {
    let count = |it: Option<i32>| it.and_then(|it| u64::try_from(it).ok());
    let read = usage.prompt_tokens_details.as_ref();
    let written = usage.completion_tokens_details.as_ref();
    Usage {
        input_tokens: count(usage.prompt_tokens),
        output_tokens: count(usage.completion_tokens),
        total_tokens: count(usage.total_tokens),
        reasoning_tokens: count(written.and_then(|it| it.reasoning_tokens)),
        cached_input_tokens: count(read.and_then(|it| it.cached_tokens)),
    }
}

//! A model's answer: its chunks as events while they come, and the whole of it at the end.

use std::collections::{HashMap, HashSet};

use mortise_plugin_api::{
    Chunk, Error, FinishReason, Item, ModelResponse, Part, Result, ToolCallItem, Usage, Visibility,
};
use serde_json::Value;

/// What a chunk means for whoever watches.
#[derive(Debug, PartialEq)]
pub(crate) enum Shown {
    TextStart,
    Text(String),
    TextEnd,
    ReasoningStart(Visibility),
    Reasoning(Visibility, String),
    ReasoningEnd(Visibility),
    CallStart {
        call_id: String,
        name: String,
    },
    CallArguments {
        call_id: String,
        name: String,
        delta: String,
    },
    CallEnd {
        call_id: String,
        name: String,
    },
}

/// Takes an answer in, chunk by chunk.
#[derive(Default)]
pub(crate) struct AnswerBuilder {
    pub(crate) message_id: Option<String>,
    parts: Vec<Part>,
    open: Open,
    calls: Vec<ToolCallItem>,
    /// The provider's id of a call → the id in this run.
    call_ids: HashMap<String, String>,
    usage: Usage,
    finish: Option<FinishReason>,
}

/// Which part is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning(Visibility),
}

// === impl AnswerBuilder ===

impl AnswerBuilder {
    /// Takes a chunk; what it means is appended to `shown`. `taken` are the ids of earlier calls.
    pub(crate) fn take(
        &mut self,
        chunk: Chunk,
        taken: &mut HashSet<String>,
        shown: &mut Vec<Shown>,
    ) -> Result<()> {
        match chunk {
            Chunk::MessageId { id } => self.message_id = Some(id),
            Chunk::Text { delta } => {
                self.switch(Open::Text, shown);
                if let Some(Part::Text { text }) = self.parts.last_mut() {
                    text.push_str(&delta);
                }
                shown.push(Shown::Text(delta));
            }
            Chunk::Reasoning { delta, visibility } => {
                self.switch(Open::Reasoning(visibility), shown);
                if let Some(Part::Reasoning { text, .. }) = self.parts.last_mut() {
                    text.push_str(&delta);
                }
                shown.push(Shown::Reasoning(visibility, delta));
            }
            Chunk::ReasoningProvider { provider: value } => {
                let last = self.parts.iter_mut().rev().find_map(|part| match part {
                    Part::Reasoning { provider, .. } => Some(provider),
                    _ => None,
                });
                if let Some(provider) = last {
                    *provider = Some(value);
                }
            }
            Chunk::ToolCallStart { call_id, name } => {
                self.switch(Open::Nothing, shown);
                let own = unique(&call_id, taken);
                self.call_ids.insert(call_id, own.clone());
                self.calls.push(ToolCallItem {
                    call_id: own.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                    result: None,
                    is_error: false,
                });
                shown.push(Shown::CallStart { call_id: own, name });
            }
            Chunk::ToolCallArguments { call_id, delta } => {
                let call = self.call(&call_id)?;
                call.arguments.push_str(&delta);
                let (call_id, name) = (call.call_id.clone(), call.name.clone());
                shown.push(Shown::CallArguments {
                    call_id,
                    name,
                    delta,
                });
            }
            Chunk::ToolCallEnd { call_id } => {
                let call = self.call(&call_id)?;
                shown.push(Shown::CallEnd {
                    call_id: call.call_id.clone(),
                    name: call.name.clone(),
                });
            }
            Chunk::Part { part } => {
                self.switch(Open::Nothing, shown);
                self.parts.push(Part::Other(part));
            }
            Chunk::Usage { usage } => self.usage = usage,
            Chunk::Finish { reason } => {
                self.switch(Open::Nothing, shown);
                self.finish = Some(reason);
            }
            other => {
                return Err(Error::unavailable(format!(
                    "the model answers in a form newer than this server: {other:?}"
                )));
            }
        }
        Ok(())
    }

    /// The whole answer.
    ///
    /// # Errors
    /// `UPSTREAM_FAILED` for an answer that was cut: it has no finish.
    pub(crate) fn finish(self) -> Result<ModelResponse> {
        let Some(finish_reason) = self.finish else {
            return Err(Error::upstream(
                "The model's answer was cut before its end.",
            ));
        };
        let mut output = Vec::with_capacity(1 + self.calls.len());
        if !self.parts.is_empty() {
            output.push(Item::parts("assistant", self.parts));
        }
        output.extend(self.calls.into_iter().map(Item::ToolCall));
        Ok(ModelResponse {
            output,
            finish_reason,
            usage: self.usage,
            request: None,
            response: None,
        })
    }

    /// Ends the part that is open, if it is another one, and begins the wanted one.
    fn switch(&mut self, wanted: Open, shown: &mut Vec<Shown>) {
        if self.open == wanted {
            return;
        }
        match self.open {
            Open::Nothing => {}
            Open::Text => shown.push(Shown::TextEnd),
            Open::Reasoning(visibility) => shown.push(Shown::ReasoningEnd(visibility)),
        }
        match wanted {
            Open::Nothing => {}
            Open::Text => {
                self.parts.push(Part::text(""));
                shown.push(Shown::TextStart);
            }
            Open::Reasoning(visibility) => {
                self.parts.push(Part::Reasoning {
                    text: String::new(),
                    visibility,
                    provider: None,
                });
                shown.push(Shown::ReasoningStart(visibility));
            }
        }
        self.open = wanted;
    }

    fn call(&mut self, provider_id: &str) -> Result<&mut ToolCallItem> {
        let own = self.call_ids.get(provider_id);
        let call = own.and_then(|own| self.calls.iter_mut().find(|call| call.call_id == *own));
        call.ok_or_else(|| {
            Error::upstream("The model wrote arguments of a tool call that it had not begun.")
                .with_context("callId", Value::from(provider_id))
        })
    }
}

/// Ids of calls are unique in their run, whatever the provider does.
fn unique(id: &str, taken: &mut HashSet<String>) -> String {
    let mut own = id.to_owned();
    let mut number = 2;
    while !taken.insert(own.clone()) {
        own = format!("{id}_{number}");
        number += 1;
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(chunks: Vec<Chunk>) -> (Vec<Shown>, Result<ModelResponse>) {
        let (mut builder, mut taken, mut shown) =
            (AnswerBuilder::default(), HashSet::new(), vec![]);
        for chunk in chunks {
            builder.take(chunk, &mut taken, &mut shown).unwrap();
        }
        (shown, builder.finish())
    }

    #[test]
    fn a_text_begins_with_its_first_delta_and_ends_with_the_answer() {
        let (shown, response) = answer(vec![
            Chunk::reasoning("hm"),
            Chunk::text("a"),
            Chunk::text("b"),
            Chunk::finish(FinishReason::Stop),
        ]);
        let summary = Visibility::Summary;
        assert_eq!(
            shown,
            [
                Shown::ReasoningStart(summary),
                Shown::Reasoning(summary, "hm".into()),
                Shown::ReasoningEnd(summary),
                Shown::TextStart,
                Shown::Text("a".into()),
                Shown::Text("b".into()),
                Shown::TextEnd,
            ]
        );
        let output = response.unwrap().output;
        assert_eq!(output.len(), 1);
        assert_eq!(output[0].text(), "ab");
    }

    #[test]
    fn an_answer_without_its_end_is_an_error() {
        let (_, response) = answer(vec![Chunk::text("a")]);
        assert_eq!(response.unwrap_err().code(), Some("UPSTREAM_FAILED"));
    }

    #[test]
    fn a_call_id_that_was_used_before_gets_a_number() {
        let mut taken = HashSet::from(["call_1".to_owned()]);
        assert_eq!(unique("call_1", &mut taken), "call_1_2");
        assert_eq!(unique("call_1", &mut taken), "call_1_3");
    }
}

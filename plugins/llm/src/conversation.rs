//! A conversation, from the items of a request to the messages of a provider.

use std::collections::HashSet;

use genai::chat::{ChatMessage, ChatRequest, ContentPart, MessageContent, Tool, ToolResponse};
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Content, Message, ModelRequest, Part, ToolCallItem, ToolChoice};
use serde_json::Map;

use crate::api::Api;
use crate::content;
use crate::names::Names;
use crate::provider::Provider;
use crate::remembered::{Remembered, Thought};

/// The request as genai takes it.
///
/// # Errors
/// `VALIDATION_FAILED` for what this provider cannot be told.
pub(crate) fn chat_request(
    request: &ModelRequest,
    provider: &Provider,
    names: &Names,
) -> Result<ChatRequest> {
    let mut conversation = Conversation {
        provider,
        names,
        messages: Vec::new(),
        turn: Turn::default(),
    };
    for item in &request.input {
        match item {
            Item::Message(message) => conversation.message(message)?,
            Item::ToolCall(call) => conversation.call(call),
            // Of another kind than any model reads.
            Item::Other(_) => {}
        }
    }
    conversation.end_turn();
    let mut messages = conversation.messages;
    if let Some(wanted) = &request.structured_output
        && provider.api == Api::Ollama
    {
        let instruction = format!(
            "Answer with JSON that fits this JSON Schema, and with nothing else: {}",
            wanted.schema
        );
        messages.insert(0, ChatMessage::system(instruction));
    }
    let mut chat = ChatRequest::from_messages(messages);
    // Ollama knows no choice: what must not be called is not offered.
    let offered = provider.api != Api::Ollama || request.tool_choice != ToolChoice::None;
    if offered && !request.tools.is_empty() {
        chat = chat.with_tools(request.tools.iter().map(|tool| {
            let mut told =
                Tool::new(names.on_the_wire(&tool.name)).with_schema(tool.schema.clone());
            if !tool.description.is_empty() {
                told = told.with_description(&tool.description);
            }
            told
        }));
    }
    Ok(chat)
}

/// The messages, while they are made.
struct Conversation<'a> {
    provider: &'a Provider,
    names: &'a Names,
    messages: Vec<ChatMessage>,
    turn: Turn,
}

/// What the model said in one go, and what its calls gave.
#[derive(Default)]
struct Turn {
    parts: Vec<ContentPart>,
    remembered: Remembered,
    calls: Vec<genai::chat::ToolCall>,
    /// The ids of the calls.
    called: HashSet<String>,
    results: Vec<ToolResponse>,
}

// === impl Conversation ===

impl Conversation<'_> {
    fn message(&mut self, message: &Message) -> Result<()> {
        self.end_turn();
        match message.role.as_str() {
            "assistant" => self.begin_turn(message),
            "user" => {
                let parts = self.parts(&message.content)?;
                let content = MessageContent::from_parts(parts);
                self.messages.push(ChatMessage::user(content));
            }
            "system" | "developer" => {
                self.messages
                    .push(ChatMessage::system(message.content.text()));
            }
            role => {
                return Err(Error::invalid(format!(
                    "The model knows no messages of the role '{role}'."
                )));
            }
        }
        Ok(())
    }

    fn begin_turn(&mut self, message: &Message) {
        let remembered = Remembered::of(message, &self.provider.name);
        let mut turn = Turn::default();
        if let Some(remembered) = remembered {
            turn.parts.extend(thoughts(&remembered, message));
            turn.remembered = remembered;
        }
        let text = message.content.text();
        if !text.is_empty() {
            turn.parts.push(ContentPart::Text(text));
        }
        // Most providers take media of the user alone; those that the model made are left out.
        self.turn = turn;
    }

    fn call(&mut self, item: &ToolCallItem) {
        if !self.turn.called.contains(&item.call_id) {
            let is_next_answer = !self.turn.results.is_empty()
                && self.turn.calls.len() >= self.turn.remembered.calls;
            if is_next_answer {
                self.end_turn();
            }
            self.turn.called.insert(item.call_id.clone());
            let place = self.turn.calls.len();
            self.turn.calls.push(genai::chat::ToolCall {
                call_id: item.call_id.clone(),
                fn_name: self.names.on_the_wire(&item.name),
                fn_arguments: arguments(&item.arguments),
                thought_signatures: self.turn.remembered.call_signatures.get(&place).cloned(),
            });
        }
        if let Some(result) = &item.result {
            self.turn.results.push(ToolResponse {
                call_id: item.call_id.clone(),
                fn_name: Some(self.names.on_the_wire(&item.name)),
                content: match result {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                },
            });
        }
    }

    fn end_turn(&mut self) {
        let Turn {
            mut parts,
            calls,
            mut results,
            ..
        } = std::mem::take(&mut self.turn);
        // Providers refuse calls that nothing has answered.
        let answered: HashSet<&str> = results.iter().map(|it| it.call_id.as_str()).collect();
        let open = calls
            .iter()
            .filter(|call| !answered.contains(call.call_id.as_str()));
        let missing: Vec<_> = open
            .map(|call| {
                let response = ToolResponse::from_tool_call(call, "There is no result.");
                response.with_fn_name(&call.fn_name)
            })
            .collect();
        results.extend(missing);
        parts.extend(calls.into_iter().map(ContentPart::ToolCall));
        if !parts.is_empty() {
            let content = MessageContent::from_parts(parts);
            self.messages.push(ChatMessage::assistant(content));
        }
        if results.is_empty() {
            return;
        }
        if self.provider.api == Api::Ollama {
            // Its adapter takes one of a message.
            let each = results
                .into_iter()
                .map(|it| ChatMessage::tool(MessageContent::from_tool_responses(vec![it])));
            self.messages.extend(each);
        } else {
            let together = MessageContent::from_tool_responses(results);
            self.messages.push(ChatMessage::tool(together));
        }
    }

    fn parts(&self, content: &Content) -> Result<Vec<ContentPart>> {
        let parts = match content {
            Content::Text(text) => return Ok(vec![ContentPart::Text(text.clone())]),
            Content::Parts(parts) => parts,
        };
        let mut taken = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Text { text } => taken.push(ContentPart::Text(text.clone())),
                Part::Reasoning { .. } => {}
                Part::Other(value) => taken.extend(content::part(self.provider.api, value)?),
            }
        }
        Ok(taken)
    }
}

/// What the model thought, as its provider wants it back.
fn thoughts(remembered: &Remembered, message: &Message) -> Vec<ContentPart> {
    if !remembered.is_signed() {
        let Content::Parts(parts) = &message.content else {
            return Vec::new();
        };
        let text: String = parts
            .iter()
            .filter_map(|part| match part {
                Part::Reasoning { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let thought = (!text.is_empty()).then_some(ContentPart::ReasoningContent(text));
        return thought.into_iter().collect();
    }
    let mut parts = Vec::new();
    for thought in &remembered.thoughts {
        match thought {
            Thought::Signed { text, signature } => {
                parts.push(ContentPart::ThoughtSignature(signature.clone()));
                parts.push(ContentPart::ReasoningContent(text.clone()));
            }
            Thought::Whole(value) => parts.push(ContentPart::from_custom(value.clone(), None)),
        }
    }
    let signatures = remembered.signatures.iter().cloned();
    parts.extend(signatures.map(ContentPart::ThoughtSignature));
    parts
}

/// Providers take an object; what a model wrote is not always one.
fn arguments(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Value::Object(arguments),
        _ if text.trim().is_empty() => Value::Object(Map::new()),
        _ => json!({ "arguments": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderConfig;

    #[test]
    fn thousands_of_calls_of_a_turn_are_each_known_at_a_look() {
        let config = ProviderConfig::default();
        let provider = Provider::new("openai", config, &|_| None).unwrap();
        let call = |number: usize, result: Option<Value>| {
            Item::ToolCall(ToolCallItem {
                call_id: number.to_string(),
                name: "add".into(),
                arguments: String::new(),
                result,
                is_error: false,
            })
        };
        let calls = (0..100_000).map(|number| call(number, None));
        let results = (0..100_000).step_by(2);
        let results = results.map(|number| call(number, Some(Value::Null)));
        let mut request = ModelRequest::default();
        request.input = calls.chain(results).collect();
        let chat = chat_request(&request, &provider, &Names::new(&[])).unwrap();
        let answers = chat.messages[1].content.tool_responses().len();
        assert_eq!((chat.messages.len(), answers), (2, 100_000));
    }
}

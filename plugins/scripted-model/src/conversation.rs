//! What the scripts read from a conversation.

use mortise_plugin_api::ToolCallItem;
use mortise_plugin_api::prelude::*;

/// The results of tool calls after the last message of the user, oldest first.
pub(crate) fn results_since_prompt(input: &[Item]) -> Vec<&Value> {
    let begin = input
        .iter()
        .rposition(|item| item.is_message_of("user"))
        .map_or(0, |index| index + 1);
    input[begin..].iter().filter_map(result).collect()
}

/// The result that an item carries.
pub(crate) fn result(item: &Item) -> Option<&Value> {
    match item {
        Item::ToolCall(ToolCallItem { result, .. }) => result.as_ref(),
        _ => None,
    }
}

/// A result as a model reads it: texts as they are, anything else as compact JSON.
pub(crate) fn result_text(result: &Value) -> String {
    match result {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The role under which a chat model sees an item.
pub(crate) fn role(item: &Item) -> Option<&str> {
    match item {
        Item::Message(message) => Some(&message.role),
        Item::ToolCall(call) if call.result.is_some() => Some("tool"),
        Item::ToolCall(_) => Some("assistant"),
        Item::Other(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod test_support {
    use super::*;

    /// A request of one user message, and the results of tool calls after it.
    pub(crate) fn request(prompt: &str, results: &[Value]) -> ModelRequest {
        let mut input = vec![Item::user(prompt)];
        for (index, result) in results.iter().enumerate() {
            let mut call = ToolCallItem {
                call_id: format!("call_{index}"),
                name: "add".to_owned(),
                arguments: "{}".to_owned(),
                result: None,
                is_error: false,
            };
            input.push(Item::ToolCall(call.clone()));
            call.result = Some(result.clone());
            input.push(Item::ToolCall(call));
        }
        let mut request = ModelRequest::new(input);
        request.stream = true;
        request
    }
}

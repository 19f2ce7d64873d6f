//! What servers answer, as results of tools.

use mortise_plugin_api::prelude::*;
use rmcp::model::{
    CallToolResponse, ContentBlock, GetPromptResponse, ReadResourceResponse, ResourceContents,
};

use crate::connection::LONGEST_MESSAGE;

/// As much of an error's text as a model reads.
const LONGEST_ERROR: usize = 16 * 1024;
/// What is for clients that show it to people.
const FOR_CLIENTS: [&str; 3] = ["_meta", "annotations", "icons"];

/// The result of a tool: its structured content, else its text, else the list of its parts.
///
/// Structured content says the same as the text beside it; where there is more than text, both
/// are given.
pub(crate) fn of_tool(server: &str, response: CallToolResponse) -> Result<Value> {
    let result = match response {
        CallToolResponse::Complete(result) => result,
        CallToolResponse::InputRequired(_) => return Err(wants_input(server)),
        _ => {
            return Err(Error::upstream(format!(
                "The MCP server '{server}' answers with a task to be asked for later, which is \
                 not supported."
            ))
            .with_retryable(false));
        }
    };
    if result.is_error == Some(true) {
        let mut message = text(&result.content);
        if message.is_empty() {
            "The tool failed without a word.".clone_into(&mut message);
        }
        return Err(Error::new("TOOL_FAILED", cut(message)));
    }
    let is_text = result.content.iter().all(|it| it.as_text().is_some());
    let value = match result.structured_content {
        Some(structured) if is_text => structured,
        Some(structured) => json!({
            "structuredContent": structured, "content": parts(&result.content)?,
        }),
        None => content(&result.content)?,
    };
    fitting(server, value)
}

/// What was read: a text alone as it is, anything else as a list.
pub(crate) fn of_resource(server: &str, response: ReadResourceResponse) -> Result<Value> {
    let ReadResourceResponse::Complete(result) = response else {
        return Err(wants_input(server));
    };
    let value = match &result.contents[..] {
        [ResourceContents::TextResourceContents { text, .. }] => text.as_str().into(),
        contents => plain(serde_json::to_value(contents)?),
    };
    fitting(server, value)
}

/// The messages of a prompt.
pub(crate) fn of_prompt(server: &str, response: GetPromptResponse) -> Result<Value> {
    let GetPromptResponse::Complete(result) = response else {
        return Err(wants_input(server));
    };
    let mut messages = Vec::with_capacity(result.messages.len());
    for message in &result.messages {
        let content = content(std::slice::from_ref(&message.content))?;
        messages.push(json!({ "role": message.role, "content": content }));
    }
    fitting(server, json!({ "messages": messages }))
}

/// A list that a server gave, without what is for clients that show it to people.
pub(crate) fn of_list(server: &str, list: Value) -> Result<Value> {
    fitting(server, plain(list))
}

fn wants_input(server: &str) -> Error {
    Error::upstream(format!(
        "The MCP server '{server}' wants to ask the user something, which is not supported."
    ))
    .with_retryable(false)
}

fn content(content: &[ContentBlock]) -> Result<Value> {
    match content {
        [] => Ok(Value::Null),
        [ContentBlock::Text(part)] => Ok(part.text.as_str().into()),
        parts_of => parts(parts_of),
    }
}

fn parts(content: &[ContentBlock]) -> Result<Value> {
    Ok(plain(serde_json::to_value(content)?))
}

fn text(content: &[ContentBlock]) -> String {
    let texts = content.iter().filter_map(ContentBlock::as_text);
    let texts: Vec<&str> = texts.map(|it| it.text.as_str()).collect();
    texts.join("\n")
}

fn cut(mut text: String) -> String {
    let end = text.char_indices().map(|(place, _)| place);
    if let Some(end) = end.take_while(|it| *it <= LONGEST_ERROR).last()
        && text.len() > LONGEST_ERROR
    {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Without what is for clients that show it to people, in the list and in each of its parts.
fn plain(mut value: Value) -> Value {
    strip(&mut value, 3);
    value
}

fn strip(value: &mut Value, depth: usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, depth)),
        Value::Object(object) if depth > 0 => {
            object.retain(|key, value| !value.is_null() && !FOR_CLIENTS.contains(&key.as_str()));
            object.values_mut().for_each(|it| strip(it, depth - 1));
        }
        _ => {}
    }
}

fn fitting(server: &str, value: Value) -> Result<Value> {
    let length = serde_json::to_vec(&value)?.len();
    if length > LONGEST_MESSAGE {
        return Err(Error::upstream(format!(
            "The MCP server '{server}' gave a result of {length} bytes, which is too large."
        ))
        .with_retryable(false));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use rmcp::model::CallToolResult;

    use super::*;

    fn told(result: Value) -> Result<Value> {
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        of_tool("docs", CallToolResponse::Complete(result))
    }

    #[test]
    fn a_result_is_as_plain_as_it_can_be() {
        let text = |text: &str| json!({ "type": "text", "text": text, "_meta": { "a": 1 } });
        let image = json!({ "type": "image", "data": "AA==", "mimeType": "image/png" });
        let link = json!({ "type": "resource_link", "uri": "a://b", "name": "b" });
        for (result, expected) in [
            (json!({ "content": [] }), Value::Null),
            (json!({ "content": [text("hi")] }), json!("hi")),
            (
                json!({ "content": [text("{}")], "structuredContent": { "_meta": 3 } }),
                json!({ "_meta": 3 }),
            ),
            (json!({ "structuredContent": null }), Value::Null),
            (
                json!({ "content": [text("a"), image] }),
                json!([{ "type": "text", "text": "a" }, image]),
            ),
            (
                json!({ "content": [link], "structuredContent": [1] }),
                json!({ "structuredContent": [1], "content": [link] }),
            ),
        ] {
            assert_eq!(told(result).unwrap(), expected);
        }
    }

    #[test]
    fn a_result_that_tells_of_an_error_is_one() {
        let text = |text: &str| json!({ "type": "text", "text": text });
        let error = told(json!({ "content": [text("no"), text("way")], "isError": true }));
        assert_eq!(error.unwrap_err().message(), "no\nway");
        let error = told(json!({ "content": [], "isError": true })).unwrap_err();
        assert_eq!(error.message(), "The tool failed without a word.");
        let long = "é".repeat(LONGEST_ERROR);
        let error = told(json!({ "content": [text(&long)], "isError": true })).unwrap_err();
        assert!(error.message().len() < LONGEST_ERROR + 4);
    }

    #[test]
    fn a_result_that_is_too_large_is_an_error() {
        let text = "x".repeat(LONGEST_MESSAGE);
        let error = told(json!({ "content": [{ "type": "text", "text": text }] })).unwrap_err();
        assert!(error.message().contains("too large"), "{error:?}");
    }
}

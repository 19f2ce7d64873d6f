//! `streamGenerateContent`, whose lines end with CR LF.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::said::{Said, usage};

pub(super) fn write(said: &[Said]) -> String {
    let mut stream = String::new();
    for (place, it) in said.iter().enumerate() {
        // A signature stands with what it signs, here with the call that comes next.
        let signature = match place.checked_sub(1).map(|before| &said[before]) {
            Some(Said::Signature(signature)) => Some(signature),
            _ => None,
        };
        match it {
            Said::Text(text) => parts(&mut stream, &[json!({ "text": text })]),
            Said::Thought(text) => {
                parts(&mut stream, &[json!({ "text": text, "thought": true })]);
            }
            Said::Call { .. } => parts(&mut stream, &[call(it, signature)]),
            Said::Together(several) => {
                let calls: Vec<_> = several.iter().map(|it| call(it, None)).collect();
                parts(&mut stream, &calls);
            }
            Said::KeepAlive => stream.push_str(": keep-alive\r\n\r\n"),
            Said::Signature(_) | Said::Usage(_) => {}
        }
    }
    let usage = usage(said);
    frame(
        &mut stream,
        &json!({
            "candidates": [{ "content": { "role": "model" }, "finishReason": "STOP" }],
            "usageMetadata": {
                "promptTokenCount": usage.input,
                "cachedContentTokenCount": usage.cached,
                "candidatesTokenCount": usage.output - usage.reasoning,
                "thoughtsTokenCount": usage.reasoning,
                "totalTokenCount": usage.input + usage.output,
            },
        }),
    );
    stream
}

/// A call, which always comes whole, and without an id.
fn call(said: &Said, signature: Option<&String>) -> Value {
    let Said::Call { name, pieces, .. } = said else {
        return json!({});
    };
    let arguments: Value = serde_json::from_str(&pieces.concat()).unwrap_or_default();
    let mut part = json!({ "functionCall": { "name": name, "args": arguments } });
    if let Some(signature) = signature {
        part["thoughtSignature"] = json!(signature);
    }
    part
}

fn parts(stream: &mut String, parts: &[Value]) {
    let content = json!({ "role": "model", "parts": parts });
    frame(stream, &json!({ "candidates": [{ "content": content }] }));
}

fn frame(stream: &mut String, value: &Value) {
    // Writing to a string cannot fail.
    let _ = write!(stream, "data: {value}\r\n\r\n");
}

//! Chat completions.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::said::{Said, has_calls, usage};

pub(super) fn write(said: &[Said]) -> String {
    let mut stream = String::new();
    delta(&mut stream, &json!({ "role": "assistant", "content": "" }));
    let mut calls = 0;
    for it in said {
        match it {
            Said::Text(text) => delta(&mut stream, &json!({ "content": text })),
            Said::Thought(text) => delta(&mut stream, &json!({ "reasoning_content": text })),
            Said::Call { .. } => together(&mut stream, std::slice::from_ref(it), &mut calls),
            Said::Together(several) => together(&mut stream, several, &mut calls),
            Said::KeepAlive => stream.push_str(": keep-alive\n\n"),
            Said::Signature(_) | Said::Usage(_) => {}
        }
    }
    let reason = if has_calls(said) {
        "tool_calls"
    } else {
        "stop"
    };
    frame(
        &mut stream,
        &json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }),
    );
    let usage = usage(said);
    frame(
        &mut stream,
        &json!({ "choices": [], "usage": {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
            "prompt_tokens_details": { "cached_tokens": usage.cached },
            "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
        }}),
    );
    stream.push_str("data: [DONE]\n\n");
    stream
}

/// Calls whose pieces come in turns.
fn together(stream: &mut String, several: &[Said], calls: &mut usize) {
    let first = *calls;
    let mut longest = 0;
    for it in several {
        let Said::Call { id, name, pieces } = it else {
            continue;
        };
        let mut begun = json!({
            "index": *calls, "type": "function", "function": { "name": name, "arguments": "" },
        });
        if let Some(id) = id {
            begun["id"] = json!(id);
        }
        delta(stream, &json!({ "tool_calls": [begun] }));
        longest = longest.max(pieces.len());
        *calls += 1;
    }
    for turn in 0..longest {
        for (place, it) in several.iter().enumerate() {
            let Said::Call { pieces, .. } = it else {
                continue;
            };
            if let Some(piece) = pieces.get(turn) {
                let piece = json!({ "index": first + place, "function": { "arguments": piece } });
                delta(stream, &json!({ "tool_calls": [piece] }));
            }
        }
    }
}

fn delta(stream: &mut String, delta: &Value) {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": null });
    frame(stream, &json!({ "choices": [choice] }));
}

fn frame(stream: &mut String, value: &Value) {
    let mut value = value.clone();
    value["id"] = json!("chatcmpl-1");
    value["object"] = json!("chat.completion.chunk");
    // Writing to a string cannot fail.
    let _ = write!(stream, "data: {value}\n\n");
}

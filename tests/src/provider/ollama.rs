//! `/api/chat`: a line of JSON for each piece.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::said::{Said, usage};

pub(super) fn write(said: &[Said]) -> String {
    let mut stream = String::new();
    for it in said {
        match it {
            Said::Text(text) => message(&mut stream, &json!({ "content": text })),
            Said::Thought(text) => {
                message(&mut stream, &json!({ "content": "", "thinking": text }));
            }
            Said::Call { .. } => calls(&mut stream, std::slice::from_ref(it)),
            Said::Together(several) => calls(&mut stream, several),
            Said::KeepAlive => stream.push('\n'),
            Said::Signature(_) | Said::Usage(_) => {}
        }
    }
    let usage = usage(said);
    line(
        &mut stream,
        &json!({
            "message": { "role": "assistant", "content": "" },
            "done": true, "done_reason": "stop",
            "prompt_eval_count": usage.input,
            "prompt_eval_cached_count": usage.cached,
            "eval_count": usage.output,
        }),
    );
    stream
}

fn calls(stream: &mut String, several: &[Said]) {
    let calls: Vec<Value> = several
        .iter()
        .filter_map(|it| match it {
            Said::Call { name, pieces, .. } => {
                let arguments: Value = serde_json::from_str(&pieces.concat()).unwrap_or_default();
                Some(json!({ "function": { "name": name, "arguments": arguments } }))
            }
            _ => None,
        })
        .collect();
    message(stream, &json!({ "content": "", "tool_calls": calls }));
}

fn message(stream: &mut String, message: &Value) {
    let mut message = message.clone();
    message["role"] = json!("assistant");
    line(stream, &json!({ "message": message, "done": false }));
}

fn line(stream: &mut String, value: &Value) {
    let mut value = value.clone();
    value["model"] = json!("scripted");
    // Writing to a string cannot fail.
    let _ = writeln!(stream, "{value}");
}

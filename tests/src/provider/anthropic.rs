//! Messages.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::said::{Said, has_calls, usage};

/// The stream and the block that is open in it.
struct Blocks {
    stream: String,
    open: Option<&'static str>,
    count: usize,
}

pub(super) fn write(said: &[Said]) -> String {
    let usage = usage(said);
    let mut blocks = Blocks {
        stream: String::new(),
        open: None,
        count: 0,
    };
    blocks.event(
        "message_start",
        &json!({ "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [],
            "usage": {
                "input_tokens": usage.input - usage.cached,
                "cache_read_input_tokens": usage.cached,
                "output_tokens": 1,
            },
        }}),
    );
    for it in said {
        blocks.say(it);
    }
    blocks.close();
    let reason = if has_calls(said) {
        "tool_use"
    } else {
        "end_turn"
    };
    blocks.event(
        "message_delta",
        &json!({
            "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": {
                "output_tokens": usage.output,
                "output_tokens_details": { "thinking_tokens": usage.reasoning },
            },
        }),
    );
    blocks.event("message_stop", &json!({}));
    blocks.stream
}

// === impl Blocks ===

impl Blocks {
    fn say(&mut self, said: &Said) {
        match said {
            Said::Text(text) => {
                self.open("text", || json!({ "type": "text", "text": "" }));
                self.delta(&json!({ "type": "text_delta", "text": text }));
            }
            Said::Thought(text) => {
                self.open(
                    "thinking",
                    || json!({ "type": "thinking", "thinking": "", "signature": "" }),
                );
                self.delta(&json!({ "type": "thinking_delta", "thinking": text }));
            }
            Said::Signature(signature) => {
                self.delta(&json!({ "type": "signature_delta", "signature": signature }));
                self.close();
            }
            Said::Call { id, name, pieces } => {
                self.close();
                self.open(
                    "tool_use",
                    || json!({ "type": "tool_use", "id": id, "name": name, "input": {} }),
                );
                self.delta(&json!({ "type": "input_json_delta", "partial_json": "" }));
                for piece in pieces {
                    self.delta(&json!({ "type": "input_json_delta", "partial_json": piece }));
                }
                self.close();
            }
            Said::Together(several) => several.iter().for_each(|it| self.say(it)),
            Said::KeepAlive => self.event("ping", &json!({})),
            Said::Usage(_) => {}
        }
    }

    fn open(&mut self, kind: &'static str, block: impl FnOnce() -> Value) {
        if self.open == Some(kind) {
            return;
        }
        self.close();
        let index = self.count;
        let block = json!({ "index": index, "content_block": block() });
        self.event("content_block_start", &block);
        self.open = Some(kind);
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            let index = self.count;
            self.event("content_block_stop", &json!({ "index": index }));
            self.count += 1;
        }
    }

    fn delta(&mut self, delta: &Value) {
        let index = self.count;
        self.event(
            "content_block_delta",
            &json!({ "index": index, "delta": delta }),
        );
    }

    fn event(&mut self, kind: &str, value: &Value) {
        let mut value = value.clone();
        value["type"] = json!(kind);
        // Writing to a string cannot fail.
        let _ = write!(self.stream, "event: {kind}\ndata: {value}\n\n");
    }
}

//! Those who say what they are told to, piece by piece: a model, and an agent that is code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mortise_plugin_api::prelude::*;

/// The last user message is a script: `{"think": ["…"], "say": ["…", …]}`. With `"calls": 1` the
/// model calls `add` first.
struct Speaker {
    heard: Heard,
}

struct Orator;

/// Whatever it is asked, it says this many bytes, a word at a time.
struct Novelist(usize);

/// How often a model was asked, and what it read last.
#[derive(Clone, Default)]
struct Heard(Arc<(AtomicUsize, Mutex<Value>)>);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Script {
    think: Vec<String>,
    say: Vec<String>,
    calls: usize,
}

pub(crate) fn register(registrar: &mut Registrar) {
    let heard = Heard::default();
    let shown = heard.clone();
    registrar
        .model(Speaker { heard })
        .agent(Orator)
        .mount(
            Mount::below_base("/heard").endpoint(Endpoint::get("/", move |_| {
                let (times, last) = &*shown.0;
                let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let response =
                    Response::json(&json!({ "times": times.load(Ordering::SeqCst), "last": last }));
                async { response }
            })),
        );
}

pub(crate) fn register_novelist(registrar: &mut Registrar, bytes: usize) {
    registrar.model(Novelist(bytes));
}

fn script(items: &[Item]) -> Script {
    let text = items
        .iter()
        .rev()
        .map(Item::text)
        .find(|text| text.starts_with('{'));
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

impl Model for Speaker {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("speaker")
    }

    async fn generate(&self, _run: RunContext, request: ModelRequest) -> Result<ChunkStream> {
        let (times, last) = &*self.heard.0;
        times.fetch_add(1, Ordering::SeqCst);
        *last.lock().unwrap_or_else(PoisonError::into_inner) = json!(request.input);
        let script = script(&request.input);
        let called = request
            .input
            .iter()
            .filter(|item| matches!(item, Item::ToolCall(call) if call.result.is_some()))
            .count();
        let mut chunks = Vec::new();
        chunks.extend(script.think.iter().map(Chunk::reasoning));
        let usage = Usage {
            input_tokens: Some(100),
            output_tokens: Some(20),
            total_tokens: Some(120),
            ..Usage::default()
        };
        let reason = if called < script.calls {
            let call_id = "call_1".to_owned();
            chunks.push(Chunk::ToolCallStart {
                call_id: call_id.clone(),
                name: "add".to_owned(),
            });
            chunks.push(Chunk::ToolCallArguments {
                call_id: call_id.clone(),
                delta: r#"{"a":1,"b":2}"#.to_owned(),
            });
            chunks.push(Chunk::ToolCallEnd { call_id });
            FinishReason::ToolCalls
        } else {
            chunks.extend(script.say.iter().map(Chunk::text));
            FinishReason::Stop
        };
        chunks.push(Chunk::Usage { usage });
        chunks.push(Chunk::finish(reason));
        Ok(ChunkStream::from_chunks(chunks))
    }
}

impl Model for Novelist {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("novelist")
    }

    async fn generate(&self, _run: RunContext, _request: ModelRequest) -> Result<ChunkStream> {
        let words = (0..).map(|number| format!("line {number:05}\n"));
        let mut left = self.0;
        let mut chunks = Vec::new();
        for mut word in words {
            word.truncate(left);
            left -= word.len();
            chunks.push(Chunk::text(word));
            if left == 0 {
                break;
            }
        }
        chunks.push(Chunk::finish(FinishReason::Stop));
        Ok(ChunkStream::from_chunks(chunks))
    }
}

impl Agent for Orator {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(
            "orator",
            "Says what it is told to, and returns it as a value too",
        )
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let script = script(&input);
        let whole = script.say.concat();
        let mut text = run.text();
        for piece in &script.say {
            text.write(piece).await?;
        }
        text.end().await?;
        Ok(RunResult::text(whole.as_str()).with_structured(json!({ "said": [whole, 5] })))
    }
}

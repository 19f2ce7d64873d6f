//! The shipped `llm`, against a provider that answers from a script on the real wires.

mod answers;
mod cancel;
mod failures;
mod requests;
mod splits;
mod start;

use integration_tests::{
    Server, ServerBuilder,
    provider::{Provider, Said, Usage, Wire},
};
use serde_json::Value;

/// An agent for each wire, which may add.
const AGENTS: &str = r#"
[agents.openai]
model = "llm/openai/scripted"
tools = ["add"]

[agents.anthropic]
model = "llm/anthropic/scripted"
tools = ["add"]

[agents.gemini]
model = "llm/gemini/scripted"
tools = ["add"]

[agents.ollama]
model = "llm/ollama/scripted"
tools = ["add"]

[[plugins.load]]
name = "toolbox"
grants = ["state"]
"#;

/// What tests that fail must not wait for.
const HASTY: &str = r#"retries = { max = 2, backoff = "1ms", longest_wait = "1s" }"#;

const USAGE: Usage = Usage {
    input: 10,
    cached: 4,
    output: 7,
    reasoning: 2,
};

/// A server whose models are those of the provider.
fn server(provider: &Provider, config: &str, more: &str) -> Server {
    builder(provider, config, more).start()
}

fn builder(provider: &Provider, config: &str, more: &str) -> ServerBuilder {
    ServerBuilder::new(&format!("{more}\n{AGENTS}\n{}", provider.plugin(config)))
}

/// A call of the tool `add`.
fn add(id: &str, pieces: &[&str]) -> Said {
    Said::call(id, "add", pieces)
}

/// The messages that a provider was told, under whatever name its wire has for them.
fn messages(wire: Wire, body: &Value) -> &Vec<Value> {
    let name = match wire {
        Wire::Gemini => "contents",
        _ => "messages",
    };
    body[name].as_array().expect("it is told messages")
}

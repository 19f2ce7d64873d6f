//! `cargo xtask smoke`: one short conversation with each real provider whose key is set.

use integration_tests::ServerBuilder;
use serde_json::Value;

use crate::tools::{Done, build, say};

/// A model of each provider, and the variable without which it is not asked.
const MODELS: [(&str, &str); 4] = [
    ("openai/gpt-4.1-mini", "OPENAI_API_KEY"),
    ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
    ("gemini/gemini-2.5-flash", "GEMINI_API_KEY"),
    ("ollama/qwen3:4b", "OLLAMA_HOST"),
];

/// Asks these models, or one of each provider that there is a key for.
pub(crate) fn smoke(models: &[&str]) -> Done {
    let models: Vec<&str> = if models.is_empty() {
        let (set, unset): (Vec<_>, Vec<_>) = MODELS
            .into_iter()
            .partition(|(_, variable)| std::env::var_os(variable).is_some_and(|it| !it.is_empty()));
        for (model, variable) in unset {
            say(&format!("{model}: not asked, {variable} is not set"));
        }
        set.into_iter().map(|(model, _)| model).collect()
    } else {
        models.to_vec()
    };
    if models.is_empty() {
        return Err("no provider was asked: no key is set".to_owned());
    }
    build()?;
    let mut failed = Vec::new();
    for model in models {
        match ask(model) {
            Ok(usage) => say(&format!("{model}: works; {usage}")),
            Err(why) => {
                say(&format!("{model}: {why}"));
                failed.push(model);
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

/// A run that needs a tool: text, arguments, results and usage all go over the wire.
fn ask(model: &str) -> Result<Value, String> {
    let config = format!(
        r#"
[runs]
max_duration = "2m"

[[plugins.load]]
name = "llm"

[[plugins.load]]
name = "toolbox"
grants = ["state"]

[agents.smoke]
model = "llm/{model}"
instructions = "Use the tool `add` for sums. Then say the sum in one short sentence."
tools = ["add"]
max_steps = 4
"#
    );
    let server = ServerBuilder::new(&config).start();
    let frames = server.stream("smoke", "What is 17254 and 26491?").finish();
    let of = |kind: &str| {
        frames
            .iter()
            .filter(|it| it.kind() == kind)
            .map(|it| it.json())
            .collect::<Vec<_>>()
    };
    if let Some(error) = of("RUN_ERROR").first() {
        return Err(format!(
            "failed: {}; the server said:\n{}",
            error["error"],
            server.log()
        ));
    }
    let text: String = of("TEXT_MESSAGE_CONTENT")
        .iter()
        .filter_map(|it| it["delta"].as_str().map(str::to_owned))
        .collect();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if of("TOOL_CALL_RESULT").is_empty() || !digits.contains("43745") {
        return Err(format!("answered, but not as asked: {text:?}"));
    }
    let finished = of("RUN_FINISHED");
    let usage = finished
        .first()
        .map(|it| it["result"]["response"]["usage"].clone());
    usage.ok_or_else(|| "the run has no end".to_owned())
}

//! Agents: those that hand tasks to others, and those that are another thing in another run.

mod choosing;
mod delegation;
mod mistakes;
mod waiting;

use integration_tests::Frame;
use serde_json::{Value, json};

/// The scripted model, and the tools of the fixture.
const PLUGINS: &str = r#"
[[plugins.load]]
name = "scripted"
library = "scripted_model"
config = { probe = true }

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true }
"#;

/// A prompt that makes the scripted model hand a task over.
fn handing(task: &str, to: &[&str]) -> String {
    let arguments = json!({ "task": task, "targetAgents": to });
    format!("call delegate_task {arguments}")
}

/// What a stream tells of the events of an agent, as that agent showed them.
fn told_of(frames: &[Frame], agent: &str) -> Vec<Value> {
    let told = frames.iter().filter(|it| it.kind() == "DATA_PART");
    told.map(|frame| frame.json()["data"].clone())
        .filter(|data| data["type"] == "sub-agent" && data["agentName"] == agent)
        .collect()
}

/// The kinds of these events.
fn kinds_told(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|data| data["event"]["type"].as_str().unwrap_or_default())
        .collect()
}

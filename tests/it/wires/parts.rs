//! Approvals of agents that were handed a task: the whole run shows them and is decided on.

use integration_tests::{Server, ServerBuilder};
use serde_json::{Value, json};

const AGENTS: &str = r#"
[[plugins.load]]
name = "runs-api"
grants = ["agents", "conversations", "runs"]

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true }

[agents.boss]
model = "scripted/fake-1"
agents = ["left", "right"]

[agents.left]
model = "scripted/fake-1"
tools = ["wipe"]

[agents.right]
model = "scripted/fake-1"
tools = ["wipe"]
"#;

const RUNS: &str = "/api/agents/boss/runs";

fn start() -> Server {
    ServerBuilder::new(AGENTS).start()
}

/// Begins a run whose parts want to wipe something, and waits until one of them waits.
fn begin(server: &Server, agents: &[&str]) -> Value {
    let task = r#"call wipe {"path":"disk"}"#;
    let arguments = json!({ "task": task, "targetAgents": agents });
    let body = json!({ "message": format!("call delegate_task {arguments}") });
    server.post(RUNS).json(&body).send().expect(200).json()
}

fn id(run: &Value) -> &str {
    run["runId"].as_str().expect("a run has an id")
}

fn status(server: &Server, run: &str) -> Value {
    let reply = server.get(&format!("{RUNS}/{run}/status")).send();
    reply.expect(200).json()
}

fn decides(server: &Server, run: &str, action: &str) -> Value {
    let body = json!({ "action": action });
    let request = server.post(&format!("{RUNS}/{run}/continue")).json(&body);
    request.send().expect(200).json()
}

#[test]
fn a_run_whose_part_waits_for_an_approval_says_so_and_is_approved() {
    let server = start();
    let run = begin(&server, &["left"]);
    let run_id = id(&run);

    assert_eq!(run["status"], "PAUSED");
    let known = status(&server, run_id);
    assert_eq!(known["status"], "PAUSED");
    assert_eq!(known["requiredAction"], run["metadata"]["requiredAction"]);
    assert_eq!(known["requiredAction"]["toolName"], "wipe");
    let batch = server.get(&format!("{RUNS}/status?runIds={run_id}")).send();
    assert_eq!(batch.json()[0]["status"], "PAUSED");

    let ended = decides(&server, run_id, "APPROVE");
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    assert_eq!(status(&server, run_id)["status"], "COMPLETED");
}

#[test]
fn parts_that_wait_at_the_same_time_are_decided_on_as_they_were_shown() {
    let server = start();
    let run = begin(&server, &["left", "right"]);
    let run_id = id(&run);
    let shown = |run: &Value| run["metadata"]["requiredAction"]["approvalId"].clone();
    let first = shown(&run);

    let paused = decides(&server, run_id, "REJECT");
    assert_eq!(paused["status"], "PAUSED", "{paused}");
    assert_ne!(shown(&paused), first);
    let ended = decides(&server, run_id, "APPROVE");
    assert_eq!(ended["status"], "COMPLETED", "{ended}");

    let tools = ended["tools"].as_array().expect("its calls").iter();
    let wipes: Vec<_> = tools.filter(|it| it["toolName"] == "wipe").collect();
    assert_eq!(wipes.len(), 2, "{ended}");
    let content = ended["content"].as_str().expect("a text");
    assert_eq!(content.matches("success").count(), 2, "{content}");
}

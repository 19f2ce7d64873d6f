//! Aborts, client tools, approvals and crashes of runs of which others are a part.

use integration_tests::{Server, ServerBuilder, SseReader};
use serde_json::{Value, json};

use super::{PLUGINS, handing, kinds_told, told_of};
use crate::support::{eventually, kinds, only, text_of};

const AGENTS: &str = r#"
[agents.boss]
model = "scripted/fake-1"
agents = ["worker", "asker"]

[agents.worker]
model = "scripted/fake-1"

[agents.asker]
model = "scripted/fake-1"
tools = ["confirm", "wipe"]
"#;

fn start_with(more: &str) -> Server {
    ServerBuilder::new(&format!("{more}{PLUGINS}{AGENTS}")).start()
}

fn start() -> Server {
    start_with("")
}

/// Waits until the model counts so many calls that began, or were aborted.
#[track_caller]
fn wait_for(server: &Server, what: &str, count: u64) {
    eventually(|| {
        let counts = server.get("/api/probe").send().expect(200).json();
        (counts[what] == count).then_some(())
    });
}

#[test]
fn an_abort_reaches_every_part() {
    let server = start();
    let mut run = server.stream("boss", &handing("slow", &["worker", "asker"]));
    wait_for(&server, "started", 3);
    run.wait_for("DATA_PART");

    let path = format!("/api/boss/runs/{}/abort", run.run_id());
    let _ = server.post(&path).send().expect(204);

    let frames = run.finish();
    for agent in ["worker", "asker"] {
        let told = told_of(&frames, agent);
        let kinds = kinds_told(&told);
        assert_eq!(kinds[kinds.len() - 2..], ["STEP_ERROR", "RUN_ABORTED"]);
    }
    let kinds = kinds(&frames);
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["STEP_ERROR", "RUN_ABORTED", "error"]
    );
    assert!(!text_of(&frames).contains("Tool said"));
    wait_for(&server, "aborted", 2);
    wait_for(&server, "started", 3);
}

#[test]
fn a_client_that_hangs_up_aborts_every_part() {
    let server = start();
    let mut run = server.stream("boss", &handing("slow", &["worker"]));
    run.wait_for("DATA_PART");
    wait_for(&server, "started", 2);
    drop(run);
    wait_for(&server, "aborted", 1);

    // The same where it waits for JSON.
    let asking = server.run("boss", &handing("slow", &["worker"])).hold();
    wait_for(&server, "started", 4);
    drop(asking);
    wait_for(&server, "aborted", 2);
}

#[test]
fn a_part_can_be_aborted_alone() {
    let server = start();
    let mut run = server.stream("boss", &handing("slow", &["worker"]));
    let told = run.wait_for("DATA_PART");
    let part = told["id"].as_str().expect("it has an id").to_owned();

    let path = format!("/api/worker/runs/{part}/abort");
    let _ = server.post(&path).send().expect(204);

    let frames = run.finish();
    let result = only(&frames, "TOOL_CALL_RESULT")["result"][0].clone();
    assert_eq!(result["status"], "error", "{result}");
    assert_eq!(kinds(&frames).last().unwrap(), "RUN_FINISHED");
}

#[test]
fn a_model_that_does_not_listen_is_dropped() {
    let server = start_with(
        r#"
[runs]
cancel_grace = "1h"

[[plugins.load]]
name = "bad"
library = "misbehaving"
config = { hang_in = "model_stream" }

[agents.deaf]
model = "bad/panicky"

[agents.hopeful]
model = "scripted/fake-1"
agents = ["deaf"]
"#,
    );
    for (agent, prompt) in [
        ("deaf", "hi".to_owned()),
        ("hopeful", handing("hi", &["deaf"])),
    ] {
        let mut run = server.stream(agent, &prompt);
        run.wait_for("STEP_START");
        let path = format!("/api/{agent}/runs/{}/abort", run.run_id());
        let _ = server.post(&path).send().expect(204);
        // With an hour of grace, it ends only because nobody waits for the model.
        assert!(kinds(&run.finish()).contains(&"RUN_ABORTED".to_owned()));
    }
}

#[test]
fn a_client_answers_the_tool_of_a_part_with_either_id() {
    let server = start();
    for with_own_id in [true, false] {
        let prompt = handing(r#"call confirm {"q":"sure?"}"#, &["asker"]);
        let mut run = server.stream("boss", &prompt);
        let call = wait_for_call(&mut run, "TOOL_CALL_END", "confirm");
        assert_eq!(call["toolTarget"], "client");
        assert_eq!(call["agentName"], "asker");
        let run_id = if with_own_id {
            call["runId"].as_str().expect("it has a run").to_owned()
        } else {
            run.run_id()
        };
        let body = json!({
            "runId": run_id, "toolCallId": call["toolCallId"],
            "status": "success", "result": { "ok": true },
        });
        let path = "/api/boss/run/tool-result";
        let _ = server.post(path).json(&body).send().expect(204);
        let again = server.post(path).json(&body).send();

        let frames = run.finish();
        let _ = again.expect(404);
        let said = text_of(&frames);
        assert!(said.contains(r#"Tool said: {\"ok\":true}"#), "{said}");
    }
}

#[test]
fn an_approval_of_a_part_is_listed_and_decided_on() {
    let server = start();
    let prompt = handing(r#"call wipe {"path":"x"}"#, &["asker"]);
    let mut run = server.stream("boss", &prompt);
    let asked = run.wait_for("TOOL_APPROVAL_REQUIRED");
    run.wait_for("TOOL_APPROVAL_UPDATED");
    let pending = server.get("/api/-/approvals").send().expect(200).json();
    let pending = &pending["approvals"];
    assert_eq!(pending[0]["runId"], asked["runId"]);
    assert_eq!(pending[0]["agentName"], "asker");
    assert_eq!(pending.as_array().map(Vec::len), Some(1));

    let body = json!({
        "runId": run.run_id(), "toolCallId": asked["toolCallId"], "decision": "approved",
    });
    let path = "/api/boss/run/tool-approval";
    let _ = server.post(path).json(&body).send().expect(204);

    let said = text_of(&run.finish());
    assert!(said.contains(r#"{\"wiped\":\"x\"}"#), "{said}");
}

#[test]
fn a_part_that_waits_is_aborted_with_the_run() {
    let server = start();
    let prompt = handing(r#"call wipe {"path":"x"}"#, &["asker"]);
    let mut run = server.stream("boss", &prompt);
    run.wait_for("TOOL_APPROVAL_UPDATED");

    let path = format!("/api/boss/runs/{}/abort", run.run_id());
    let _ = server.post(&path).send().expect(204);

    assert!(kinds(&run.finish()).contains(&"RUN_ABORTED".to_owned()));
    let pending = server.get("/api/-/approvals").send().expect(200);
    assert_eq!(pending.json()["approvals"], json!([]));
}

#[test]
fn a_json_run_reads_that_a_part_would_have_to_wait() {
    let server = start();

    let prompt = handing(r#"call wipe {"path":"x"}"#, &["asker"]);
    let reply = server.run("boss", &prompt).send().expect(200);

    let said = reply.text();
    assert!(said.contains("Non-stream runs do not support"), "{said}");
}

#[test]
fn after_a_crash_a_task_that_was_handed_over_is_not_handed_over_again() {
    let server = start();
    let mut run = server.stream("boss", &handing("slow", &["worker"]));
    run.wait_for("DATA_PART");
    let run_id = run.run_id();

    let server = server.crash_and_restart();

    let path = format!("/api/boss/stream-events/resume?streamId={run_id}");
    let frames = server.get(&path).open().finish();
    assert_eq!(only(&frames, "RUN_ERROR")["error"]["code"], "INTERRUPTED");
}

#[test]
fn a_task_that_may_be_done_twice_is_handed_over_again_after_a_crash() {
    let server = start_with("[tools.delegate_task]\nidempotent = true\n");
    let mut run = server.stream("boss", &handing("slow", &["worker"]));
    run.wait_for("DATA_PART");
    let run_id = run.run_id();

    let server = server.crash_and_restart();

    let path = format!("/api/boss/stream-events/resume?streamId={run_id}");
    let frames = server.get(&path).open().finish();
    assert!(text_of(&frames).contains("t29"), "{}", text_of(&frames));
    assert_eq!(kinds(&frames).last().unwrap(), "RUN_FINISHED");
}

fn wait_for_call(run: &mut SseReader, kind: &str, tool: &str) -> Value {
    loop {
        let event = run.wait_for(kind);
        if event["toolCallName"] == tool {
            return event;
        }
    }
}

//! Runs that take longer than `runs.max_duration`.

use integration_tests::{Server, ServerBuilder};
use serde_json::json;

use crate::support::{assert_code, kinds, only};

fn start() -> Server {
    ServerBuilder::new(
        r#"
[runs]
max_duration = "500ms"

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true }

[agents.plain]
model = "scripted/fake-1"

[agents.interactive]
model = "scripted/fake-1"
tools = ["wipe"]
"#,
    )
    .start()
}

#[test]
fn a_json_run_that_takes_too_long_is_a_timeout() {
    let server = start();

    let reply = server.run("plain", "slow").send().expect(504).json();

    assert_code(&reply, "TIMEOUT");
    assert_eq!(
        reply["message"],
        "Run failed: The run took longer than 500ms."
    );
    assert_eq!(reply["retryable"], true);
}

#[test]
fn a_stream_that_takes_too_long_ends_with_what_it_has_said() {
    let server = start();

    let stream = server.stream("plain", "slow");
    let run_id = stream.run_id();
    let frames = stream.finish();

    let kinds = kinds(&frames);
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["STEP_ERROR", "RUN_ERROR", "error"]
    );
    assert!(
        kinds.contains(&"TEXT_MESSAGE_CONTENT".to_owned()),
        "{kinds:?}"
    );
    let error = &only(&frames, "RUN_ERROR")["error"];
    assert_code(error, "TIMEOUT");
    assert_eq!(error["status"], 504);
    let run = server.get(&format!("/api/-/runs/{run_id}")).send();
    assert_eq!(run.expect(200).json()["state"], "failed");
}

#[test]
fn a_run_that_waits_too_long_for_an_approval_ends_and_waits_no_more() {
    let server = start();

    let stream = server.stream("interactive", r#"call wipe {"path":"/x"}"#);
    let run_id = stream.run_id();
    let frames = stream.finish();

    assert_code(&only(&frames, "RUN_ERROR")["error"], "TIMEOUT");
    assert!(!kinds(&frames).contains(&"TOOL_CALL_RESULT".to_owned()));
    let pending = server.get("/api/-/approvals").send().expect(200).json();
    assert_eq!(pending["approvals"], json!([]));
    let body = json!({ "runId": run_id, "toolCallId": "call_1", "decision": "approved" });
    let decide = server
        .post("/api/interactive/run/tool-approval")
        .json(&body);
    let _ = decide.send().expect(404);
}

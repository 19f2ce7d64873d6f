//! Tools that wait: for the client, or for somebody's consent.

use integration_tests::{Reply, Server, SseReader};
use serde_json::{Value, json};

use crate::support::{assert_code, kinds, only, plain, target, text_of};

/// Answers the first call of a run, as soon as the server waits for it.
#[track_caller]
fn submit(server: &Server, what: &str, run: &SseReader, answer: Value) -> Reply {
    let mut body = json!({ "runId": run.run_id(), "toolCallId": "call_1" });
    let (Some(body_map), Value::Object(answer)) = (body.as_object_mut(), answer) else {
        panic!("an answer is an object");
    };
    body_map.extend(answer);
    server
        .post(&format!("/api/interactive/run/{what}"))
        .json(&body)
        .send()
}

fn approve(server: &Server, run: &SseReader, answer: Value) -> Reply {
    submit(server, "tool-approval", run, answer)
}

#[test]
fn a_client_tool_is_answered_by_the_client() {
    let server = target("a");
    let mut run = server.stream("interactive", r#"call confirm {"q":"sure?"}"#);
    let call = run.wait_for("TOOL_CALL_END");
    assert_eq!(call["toolTarget"], "client");
    let answer = json!({ "status": "success", "result": { "ok": true } });

    let _ = submit(&server, "tool-result", &run, answer.clone()).expect(204);
    let again = submit(&server, "tool-result", &run, answer);
    let frames = run.finish();

    assert_code(&again.expect(404).json(), "NOT_FOUND");
    assert_eq!(
        only(&frames, "TOOL_CALL_RESULT")["result"],
        json!({ "ok": true })
    );
    assert_eq!(text_of(&frames), r#"Tool said: {"ok":true}"#);
}

#[test]
fn a_client_tool_may_fail_without_failing_the_run() {
    let server = target("a");
    let mut run = server.stream("interactive", r#"call confirm {"q":"sure?"}"#);
    run.wait_for("TOOL_CALL_END");

    let answer = json!({ "status": "error", "error": "no dialog here" });
    let _ = submit(&server, "tool-result", &run, answer).expect(204);

    let frames = run.finish();
    let result = only(&frames, "TOOL_CALL_RESULT");
    assert_eq!(result["isError"], true);
    assert_eq!(result["result"]["message"], "no dialog here");
    assert!(kinds(&frames).contains(&"RUN_FINISHED".to_owned()));
}

#[test]
fn a_client_tool_that_nobody_answers_expires_and_the_run_goes_on() {
    let server = target("b");
    let body = json!({ "input": r#"call confirm {"q":"sure?"}"# });

    let frames = server.post("/interactive/run").json(&body).open().finish();

    let result = only(&frames, "TOOL_CALL_RESULT");
    assert_eq!(result["isError"], true);
    assert_eq!(
        result["result"]["message"],
        "Timed out waiting for client tool result for 'confirm'."
    );
    assert!(kinds(&frames).contains(&"RUN_FINISHED".to_owned()));
}

#[test]
fn an_approved_tool_runs() {
    let server = target("a");
    let mut run = server.stream("interactive", r#"call wipe {"path":"/data/x"}"#);
    let asked = run.wait_for("TOOL_APPROVAL_REQUIRED");
    assert_eq!(asked["toolInput"], json!({ "path": "/data/x" }));
    assert_eq!(asked["meta"], json!({ "risk": "high" }));
    run.wait_for("TOOL_APPROVAL_UPDATED");

    let _ = approve(&server, &run, json!({ "decision": "approved" })).expect(204);

    let frames = run.finish();
    assert_eq!(
        only(&frames, "TOOL_CALL_RESULT")["result"],
        json!({ "wiped": "/data/x" })
    );
}

#[test]
fn a_denied_tool_does_not_run_and_the_model_reads_why() {
    let server = target("a");
    let mut run = server.stream("interactive", r#"call wipe {"path":"/data/x"}"#);
    run.wait_for("TOOL_APPROVAL_UPDATED");

    let answer = json!({ "decision": "denied", "note": "not today" });
    let _ = approve(&server, &run, answer).expect(204);

    let frames = run.finish();
    assert_eq!(
        only(&frames, "TOOL_CALL_RESULT")["result"],
        "Tool 'wipe' was denied by the operator. Reason: not today"
    );
    assert!(kinds(&frames).contains(&"RUN_FINISHED".to_owned()));
}

#[test]
fn an_approval_that_nobody_gives_expires_and_fails_the_run() {
    let server = target("a");

    let frames = server.stream("interactive", "call wipe_fast").finish();

    let kinds = kinds(&frames);
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["STEP_ERROR", "RUN_ERROR", "error"]
    );
    assert_eq!(only(&frames, "RUN_ERROR")["error"]["code"], "TIMEOUT");
    assert!(!kinds.contains(&"TOOL_CALL_RESULT".to_owned()), "{kinds:?}");
}

#[test]
fn a_tool_may_decide_by_its_arguments_whether_it_asks() {
    let server = target("a");

    let small = server
        .stream("interactive", r#"call maybe {"amount":5}"#)
        .finish();
    assert_eq!(
        only(&small, "TOOL_CALL_RESULT")["result"],
        json!({ "paid": 5 })
    );

    let mut large = server.stream("interactive", r#"call maybe {"amount":500}"#);
    assert_eq!(
        large.wait_for("TOOL_APPROVAL_REQUIRED")["meta"],
        json!({ "amount": 500 })
    );
}

#[test]
fn an_answer_for_no_call_is_refused_and_a_broken_one_too() {
    let server = target("a");
    let send = |what: &str, body: Value| {
        server
            .post(&format!("/api/interactive/run/{what}"))
            .json(&body)
            .send()
    };

    let unknown = json!({ "runId": "r", "toolCallId": "c", "status": "success", "result": 1 });
    let _ = send("tool-result", unknown).expect(404);
    let unknown = json!({ "runId": "r", "toolCallId": "c", "decision": "approved" });
    let _ = send("tool-approval", unknown).expect(404);
    let broken = json!({ "runId": "r", "toolCallId": "c", "status": "success" });
    assert_code(
        &send("tool-result", broken).expect(422).json(),
        "VALIDATION_FAILED",
    );
    let broken = json!({ "runId": "r", "toolCallId": "c", "decision": "perhaps" });
    assert_code(
        &send("tool-approval", broken).expect(422).json(),
        "VALIDATION_FAILED",
    );
}

#[test]
fn of_two_tables_for_a_tool_the_more_exact_one_counts() {
    let server = plain(
        r#"
[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true }

[agents.adder]
model = "scripted/fake-1"
tools = ["add"]

[tools.add]
description = "adds"

[tools."fixture.add".approval]
required = true
"#,
    )
    .start();

    let refused = server.run("adder", "hi").send().expect(400);

    assert!(
        refused.text().contains("approval-gated"),
        "{}",
        refused.text()
    );
}

//! Aborts, and clients that hang up.

use serde_json::json;

use crate::support::{kinds, target};

#[test]
fn an_aborted_run_says_so_and_shows_nothing_more() {
    let server = target("a");
    let mut run = server.stream("plain", "slow");
    run.wait_for("TEXT_MESSAGE_CONTENT");

    let path = format!("/api/plain/runs/{}/abort", run.run_id());
    let _ = server.post(&path).send().expect(204);

    let kinds = kinds(&run.finish());
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["STEP_ERROR", "RUN_ABORTED", "error"]
    );
}

#[test]
fn an_aborted_run_saves_nothing() {
    let server = target("a");
    let body = json!({ "input": "slow", "conversationId": "cut" });
    let mut run = server.post("/api/plain/run").json(&body).open();
    run.wait_for("TEXT_MESSAGE_CONTENT");
    let path = format!("/api/plain/runs/{}/abort", run.run_id());
    let _ = server.post(&path).send().expect(204);
    run.finish();

    let _ = server
        .get("/api/plain/conversations/cut")
        .send()
        .expect(204);
}

#[test]
fn a_run_that_waits_for_an_approval_can_be_aborted() {
    let server = target("a");
    let mut run = server.stream("interactive", r#"call wipe {"path":"x"}"#);
    run.wait_for("TOOL_APPROVAL_UPDATED");

    let path = format!("/api/interactive/runs/{}/abort", run.run_id());
    let _ = server.post(&path).send().expect(204);

    assert!(kinds(&run.finish()).contains(&"RUN_ABORTED".to_owned()));
}

#[test]
fn aborting_what_is_not_there_is_no_error_and_may_be_repeated() {
    let server = target("a");

    for path in ["/api/plain/runs/nope/abort", "/api/ghost/runs/nope/abort"] {
        let _ = server.post(path).send().expect(204);
        let _ = server.post(path).send().expect(204);
    }
}

#[test]
fn a_client_that_hangs_up_aborts_its_run() {
    let server = target("a");
    let mut run = server.stream("plain", "slow");
    run.wait_for("TEXT_MESSAGE_CONTENT");
    let path = format!("/api/plain/stream-events/resume?streamId={}", run.run_id());
    drop(run);

    let frames = server.get(&path).open().finish();

    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_ABORTED")
    );
}

#[test]
fn closing_a_replay_aborts_nothing() {
    let server = target("a");
    let mut run = server.stream("plain", "slow");
    let path = format!("/api/plain/stream-events/resume?streamId={}", run.run_id());
    run.wait_for("TEXT_MESSAGE_CONTENT");

    let mut reader = server.get(&path).open();
    reader.wait_for("TEXT_MESSAGE_CONTENT");
    drop(reader);

    assert_eq!(
        kinds(&run.finish()).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
}

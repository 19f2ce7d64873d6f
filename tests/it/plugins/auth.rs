//! Guards: the shipped `auth` plugin, and what a guard is told.

use integration_tests::{Request, Server};
use serde_json::json;

use crate::support::{plain, target};

const KEYS: &str = r#"
[[plugins.load]]
name = "auth"
config = { keys = [{ key = "ann-key", subject = "ann" }, { key = "bob-key", subject = "bob" }] }
"#;

fn run(server: &Server) -> Request {
    server
        .post("/api/plain/run")
        .json(&json!({ "input": "hi" }))
}

/// The recorded server asks for an address too.
fn from_inside(request: Request) -> Request {
    request.header("x-forwarded-for", "10.0.0.1")
}

#[test]
fn secret_and_key_are_both_asked_for_the_secret_first() {
    let server = target("d");

    let neither = server.anonymous("POST", "/api/plain/run").send();
    assert_eq!(neither.expect(401).json()["code"], "UNAUTHORIZED");

    let without_key = run(&server).send().expect(401).json();
    assert_eq!(
        without_key,
        json!({ "error": "unauthorized", "message": "Invalid API key." })
    );

    let _ = run(&server).header("x-api-key", "wrong").send().expect(401);
    let known = run(&server).header("x-api-key", "k1");
    let _ = from_inside(known).send().expect(200);
}

#[test]
fn guards_cover_tool_results_and_approvals_too() {
    let server = target("d");
    let body = json!({ "runId": "r", "toolCallId": "c", "status": "success", "result": 1 });

    let path = "/api/plain/run/tool-result";
    let refused = server.post(path).json(&body).send().expect(401).json();
    assert_eq!(refused["message"], "Invalid API key.");

    let known = server.post(path).json(&body).header("x-api-key", "k1");
    let _ = from_inside(known).send().expect(404);
}

#[test]
fn a_guard_is_told_what_is_asked_for_even_if_the_body_is_broken() {
    let server = target("d");
    let with_key = |request: Request| request.header("x-api-key", "k1").send();

    with_key(run(&server));
    with_key(
        server
            .post("/api/ghost/run")
            .header("content-type", "application/json")
            .body("{no"),
    );
    with_key(server.get("/api/plain/conversations/x"));
    with_key(server.post("/api/plain/runs/r/abort"));

    let seen = server.anonymous("GET", "/api/spy").send().expect(200);
    assert_eq!(
        seen.json(),
        json!([
            { "mode": "run", "agentName": "plain", "input": { "input": "hi" } },
            { "mode": "run", "agentName": "ghost", "input": {} },
            { "mode": "load_conversation", "agentName": "plain", "input": {} },
            { "mode": "abort_run", "agentName": "plain", "input": {} },
        ])
    );
}

#[test]
fn a_guard_that_fails_refuses_the_request() {
    let server = target("e");
    let body = json!({ "input": "hi", "context": { "explode": true } });

    let refused = server.post("/plain/run").json(&body).send().expect(500);

    assert_eq!(refused.json()["message"], "Server request failed.");
    let _ = server
        .post("/plain/run")
        .json(&json!({ "input": "hi" }))
        .send()
        .expect(200);
}

#[test]
fn what_belongs_to_one_subject_is_absent_for_another() {
    let server = plain(KEYS).start();
    let remember = json!({ "input": "hi", "conversationId": "mine" });
    let ann = |request: Request| request.header("x-api-key", "ann-key");
    let bob = |request: Request| request.header("x-api-key", "bob-key");

    let mut stream = ann(server.run("plain", "slow")).open();
    stream.wait_for("TEXT_MESSAGE_CONTENT");
    let run_id = stream.run_id();
    let _ = ann(server.post("/api/plain/run").json(&remember))
        .send()
        .expect(200);

    let _ = ann(server.get("/api/plain/conversations/mine"))
        .send()
        .expect(200);
    let _ = bob(server.get("/api/plain/conversations/mine"))
        .send()
        .expect(204);

    let replay = format!("/api/plain/stream-events/resume?streamId={run_id}");
    assert!(bob(server.get(&replay)).open().finish().is_empty());

    let _ = bob(server.post(&format!("/api/plain/runs/{run_id}/abort")))
        .send()
        .expect(204);
    let last = stream.finish().pop().map(|it| it.kind());
    assert_eq!(
        last.as_deref(),
        Some("RUN_FINISHED"),
        "bob's abort does nothing"
    );
}

#[test]
fn a_key_is_never_written_to_the_log() {
    let server = plain(KEYS).start();

    let _ = run(&server)
        .header("x-api-key", "ann-key")
        .send()
        .expect(200);
    let _ = run(&server)
        .header("x-api-key", "almost-ann")
        .send()
        .expect(401);

    let log = server.log();
    assert!(
        !log.contains("ann-key") && !log.contains("almost-ann"),
        "{log}"
    );
}

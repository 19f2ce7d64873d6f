//! The shipped `request-log`: its entries are lines of the server's log.

use serde_json::{Value, json};

use crate::support::{SOON, plain};

const LOG: &str = r#"
[[plugins.load]]
name = "request-log"
config = { redact_headers = ["x-session"], redact_body = ["context.token"] }
"#;

#[test]
fn a_request_and_its_run_are_logged_with_one_request_id() {
    let server = plain(LOG).start();

    let reply = server.run("plain", "hi").send().expect(200);
    let request_id = reply.header("x-request-id").unwrap_or_default().to_owned();
    // Observers are not waited for: the end of the request may be logged before its run.
    let entries = [
        "request.received",
        "run.event",
        "step.start",
        "request.completed",
    ];
    for entry in entries {
        server.wait_for_log(entry);
    }
    let log = server.wait_for_log("RUN_FINISHED");

    for line in log.lines() {
        assert!(
            serde_json::from_str::<Value>(line).is_ok(),
            "no JSON: {line}"
        );
    }
    for entry in entries {
        assert!(
            log.lines()
                .any(|it| it.contains(entry) && it.contains(&request_id)),
            "no {entry} of {request_id} in {log}"
        );
    }
}

#[test]
fn secrets_are_not_logged() {
    let server = plain(LOG).start();
    let body = json!({ "input": "hi", "context": { "token": "hush-body" } });

    let _ = server
        .post("/api/plain/run")
        .json(&body)
        .header("cookie", "hush-cookie")
        .header("authorization", "Bearer hush-bearer")
        .header("proxy-authorization", "Basic hush-proxy")
        .header("x-api-key", "hush-key")
        .header("x-session", "hush-session")
        .send()
        .expect(200);
    server.wait_for_log("request.completed");
    let log = server.wait_for_log("RUN_FINISHED");

    assert!(!log.contains("hush"), "{log}");
}

#[test]
fn a_failed_run_is_an_error_in_the_log() {
    let server = plain(LOG).start();

    let _ = server.run("plain", "fail").send().expect(502);
    let log = server.wait_for_log("RUN_ERROR");

    let line = log
        .lines()
        .find(|it| it.contains("RUN_ERROR"))
        .unwrap_or_default();
    assert!(line.contains("ERROR"), "{line}");
}

#[test]
fn what_a_run_cost_is_logged_with_its_request_streamed_or_not() {
    let server = plain(LOG).start();

    let _ = server.run("plain", "hi").send().expect(200);
    let _ = server.stream("plain", "hi").finish();
    let _ = server.get("/api/-/agents").send().expect(200);
    server.wait_for_log("/api/-/agents");
    server.signal(rustix::process::Signal::TERM);
    let log = server.wait(SOON).log;

    let completed: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("request.completed"))
        .collect();
    assert_eq!(completed.len(), 3, "{completed:#?}");
    for line in completed {
        let is_run = line.contains("/api/plain/run");
        assert_eq!(line.contains("totalTokens"), is_run, "{line}");
    }
}

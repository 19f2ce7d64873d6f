//! Clients that go while what they asked for is being stored: it is done, all of it or nothing.

use integration_tests::{Request, Server, ServerBuilder};
use serde_json::{Value, json};

use crate::support::{Holder, assert_code, database, eventually, kinds, only};

const CONFIG: &str = r#"
[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true, trace = "traces", who = true }

[agents.plain]
model = "scripted/fake-1"

[agents.interactive]
model = "scripted/fake-1"
tools = ["wipe"]

[agents.worker]
model = "scripted/fake-1"
tools = ["trace"]

[quota]
runs_per_day = 4
"#;

fn start() -> Server {
    start_with("")
}

fn start_with(more: &str) -> Server {
    let server = ServerBuilder::new(&format!("{CONFIG}\n{more}")).start();
    // From here on it is known what was used today: a key is stored as soon as it is read.
    let _ = server.run("plain", "hi").send().expect(200);
    server
}

/// How many requests guards were asked about.
fn guarded(server: &Server) -> usize {
    let heard = server.get("/api/who/heard").send().expect(200).json();
    let heard = heard.as_array().expect("it is a list").iter();
    heard.filter(|it| it[0] == "guard").count()
}

/// Sends a request while nothing can be stored, hangs up once it is being served, and lets the store
/// go on.
#[track_caller]
fn send_and_go(server: &Server, request: &Request) {
    let before = guarded(server);
    let holder = Holder::lock(&database(server));
    let client = request.hold();
    eventually(|| (guarded(server) > before).then_some(()));
    drop(client);
    // What was sent before is read before.
    let _ = server.get("/livez").send().expect(200);
    holder.let_go();
}

fn runs(server: &Server) -> Value {
    server.get("/api/-/runs").send().expect(200).json()["runs"].clone()
}

#[test]
fn a_key_stands_for_a_run_although_its_client_went_while_it_was_stored() {
    let server = start();
    let ask = || server.run("plain", "slow").header("idempotency-key", "k");

    send_and_go(&server, &ask());

    // The run has heard that its client went.
    let answer = eventually(|| {
        let answer = ask().send();
        (answer.status() != 409).then_some(answer)
    });
    assert_code(&answer.expect(499).json(), "ABORTED");
    let runs = runs(&server);
    assert_eq!(runs.as_array().unwrap().len(), 2, "{runs}");
    assert_eq!(runs[0]["state"], "aborted");
}

#[test]
fn a_key_of_a_stream_stands_for_a_run_that_ends_as_configured() {
    for (goes_on, end) in [(false, "RUN_ABORTED"), (true, "RUN_FINISHED")] {
        let goes_on = goes_on.then_some("[runs]\non_request_disconnect = \"continue\"");
        let server = start_with(goes_on.unwrap_or_default());
        let ask = || server.run("plain", "slow").header("idempotency-key", "k");
        let stream = || ask().header("accept", "text/event-stream");

        send_and_go(&server, &stream());

        let frames = eventually(|| stream().try_open().ok()).finish();
        assert_eq!(kinds(&frames).last().map(String::as_str), Some(end));
    }
}

#[test]
fn a_key_that_is_known_takes_no_run_of_the_quota_although_its_client_went() {
    let server = start();
    let ask = |input: &str| server.run("plain", input).header("idempotency-key", "k");
    let _ = ask("hi").send().expect(200);

    for _ in 0..3 {
        send_and_go(&server, &ask("hi"));
    }

    let _ = ask("hi").send().expect(200);
    let _ = server.run("plain", "hi").send().expect(200);
    let _ = server.run("plain", "hi").send().expect(200);
    let used_up = server.run("plain", "hi").send().expect(429);
    assert_code(&used_up.json(), "RATE_LIMITED");
}

#[test]
fn a_decision_is_recorded_although_its_client_went() {
    let server = start();
    let mut run = server.stream("interactive", r#"call wipe {"path":"/x"}"#);
    run.wait_for("TOOL_APPROVAL_UPDATED");
    let body = json!({ "runId": run.run_id(), "toolCallId": "call_1", "decision": "approved" });

    let decide = server.post("/api/interactive/run/tool-approval");
    send_and_go(&server, &decide.json(&body));

    let result = only(&run.finish(), "TOOL_CALL_RESULT")["result"].clone();
    assert_eq!(result, json!({ "wiped": "/x" }));
    server.wait_for_log(r#""action":"approve""#);
}

#[test]
fn a_deletion_is_recorded_although_its_client_went() {
    let server = start();
    let body = json!({ "input": "hi", "conversationId": "c" });
    let _ = server.post("/api/plain/run").json(&body).send().expect(200);
    let target = "/api/-/conversations/plain/c";

    send_and_go(&server, &server.request("DELETE", target));

    server.wait_for_log(r#""action":"delete_conversation""#);
    let _ = server.request("DELETE", target).send().expect(404);
}

#[test]
fn a_job_is_begun_and_its_run_aborted_although_whoever_asked_went() {
    let server = start();
    let body = json!({ "input": r#"call trace {"ms":600000}"# });
    let enqueue = server.post("/api/-/agents/worker/jobs").json(&body);

    send_and_go(&server, &enqueue);

    let state = |state: &str| {
        eventually(|| {
            let runs = runs(&server);
            (runs[0]["state"] == *state).then_some(())
        });
    };
    state("running");
    let jobs = server.get("/api/-/jobs").send().expect(200).json();
    let target = format!("/api/-/jobs/{}", jobs["jobs"][0]["id"].as_str().unwrap());

    // Who goes before the job is found has asked for nothing.
    eventually(|| {
        send_and_go(&server, &server.request("DELETE", &target));
        // What is stored is stored in order.
        let other = server.request("DELETE", "/api/-/conversations/plain/none");
        let _ = other.send().expect(404);
        let job = server.get(&target).send().expect(200).json();
        (job["state"] == "cancelled").then_some(())
    });

    server.wait_for_log(r#""action":"cancel_job""#);
    state("aborted");
}

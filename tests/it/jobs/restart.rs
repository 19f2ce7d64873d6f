//! Jobs that outlive the server: that ends in order, and that is killed.

use serde_json::{Value, json};

use super::{FOR_LONG, cancel, enqueue, enqueue_with, heard, heard_of, job, once, start, traced};
use crate::support::eventually;

#[test]
fn a_job_that_waits_is_done_after_a_restart() {
    let server = start();
    let soon = enqueue_with(&server, "plain", "hi", json!({ "delay": 1000 }));
    let later = enqueue_with(&server, "plain", "hi", json!({ "delay": 3_600_000 }));
    let server = server.restart();
    once(&server, &soon, "success");
    assert_eq!(job(&server, &later), later);
}

#[test]
fn a_job_that_is_being_done_when_the_server_is_killed_is_done_once_after_it() {
    let server = start();
    let queued = enqueue(&server, "worker", r#"call trace {"ms":1500}"#);
    traced(&server, 1);
    let server = server.crash_and_restart();
    let done = once(&server, &queued, "success");
    assert_eq!(done["attempt"], 2);
    assert_eq!(done["result"], r#"Tool said: {"traced":true}"#);
    // The first was cut off, the second came to its end, and there is no third.
    let runs = traced(&server, 2);
    assert_ne!(runs[0], runs[1]);
    assert_eq!(done["run"], runs[1]);
    let state = |run: &str| {
        let run = server.get(&format!("/api/-/runs/{run}")).send().expect(200);
        run.json()["state"].clone()
    };
    assert_eq!(
        (state(&runs[0]), state(&runs[1])),
        (json!("failed"), json!("finished"))
    );
    heard_of(&server, &queued, "success");
    let server = server.restart();
    assert_eq!(job(&server, &queued), done);
    traced(&server, 2);
    let ends: Vec<Value> = heard(&server)
        .into_iter()
        .filter(|it| it["name"] == "mortise.worker.completed")
        .collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[test]
fn the_run_of_a_job_that_outlives_a_kill_is_followed_and_nothing_is_done_twice() {
    let server = start();
    let queued = enqueue(&server, "worker", "call trace {} && trace_approved {}");
    traced(&server, 1);
    let waits = |server: &integration_tests::Server| {
        let waiting = server.get("/api/-/approvals").send().expect(200).json();
        waiting["approvals"].get(0).cloned()
    };
    let before = eventually(|| waits(&server));
    let server = server.crash_and_restart();
    let after = eventually(|| waits(&server));
    assert_eq!(before["runId"], after["runId"]);
    assert_eq!(job(&server, &queued)["state"], "running");
    let decision = json!({
        "runId": queued["runId"], "toolCallId": after["toolCallId"], "decision": "approved",
    });
    let approval = server.post("/api/worker/run/tool-approval").json(&decision);
    let _ = approval.send().expect(204);
    let done = once(&server, &queued, "success");
    assert_eq!(
        (&done["attempt"], &done["run"]),
        (&json!(1), &before["runId"])
    );
    traced(&server, 2);
}

#[test]
fn a_job_that_waits_for_somebody_when_the_server_ends_goes_on_after_it() {
    let server = start();
    let queued = enqueue(&server, "worker", "call trace_approved {}");
    let waiting = |server: &integration_tests::Server| {
        eventually(|| {
            let waiting = server.get("/api/-/approvals").send().expect(200).json();
            waiting["approvals"].get(0).cloned()
        })
    };
    let before = waiting(&server);
    let server = server.restart();
    let after = waiting(&server);
    assert_eq!(before["runId"], after["runId"]);
    let decision = json!({
        "runId": queued["runId"], "toolCallId": after["toolCallId"], "decision": "denied",
    });
    let approval = server.post("/api/worker/run/tool-approval").json(&decision);
    let _ = approval.send().expect(204);
    assert_eq!(once(&server, &queued, "success")["attempt"], 1);
    traced(&server, 0);
}

#[test]
fn a_job_that_is_being_done_when_the_server_ends_is_given_back_and_no_attempt_is_lost() {
    let server = start();
    let more = json!({ "maxAttempts": 1 });
    let queued = enqueue_with(&server, "worker", FOR_LONG, more);
    let behind = enqueue(&server, "worker", "hi");
    traced(&server, 1);
    let server = server.restart();
    let runs = traced(&server, 2);
    assert_ne!(runs[0], runs[1]);
    let again = job(&server, &queued);
    assert_eq!(
        (&again["state"], &again["attempt"]),
        (&json!("running"), &json!(1))
    );
    assert_eq!(job(&server, &behind)["state"], "queued");
    cancel(&server, &queued, 204);
    once(&server, &behind, "success");
}

#[test]
fn a_job_that_takes_the_server_with_it_each_time_is_a_dead_letter() {
    let server = start();
    let more = json!({ "maxAttempts": 2 });
    let queued = enqueue_with(&server, "worker", FOR_LONG, more);
    traced(&server, 1);
    let server = server.crash_and_restart();
    traced(&server, 2);
    let server = server.crash_and_restart();
    let dead = once(&server, &queued, "dead-lettered");
    assert_eq!(dead["attempt"], 2);
    assert_eq!(dead["error"]["code"], "INTERRUPTED");
    traced(&server, 2);
}

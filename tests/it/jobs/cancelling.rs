//! Jobs that somebody does not want any more.

use integration_tests::ServerBuilder;
use rustix::process::Signal;
use serde_json::json;

use super::{CONFIG, FOR_LONG, cancel, enqueue, enqueue_with, heard_of, job, once, start, traced};
use crate::support::{SOON, eventually};

#[test]
fn a_job_that_waits_is_cancelled_once() {
    let server = start();
    let queued = enqueue_with(&server, "plain", "hi", json!({ "delay": 3_600_000 }));
    let alias = format!("/api/-/runs/{}", queued["runId"].as_str().unwrap());
    assert_eq!(
        server.get(&alias).send().expect(200).json()["state"],
        "queued"
    );
    cancel(&server, &queued, 204);
    cancel(&server, &queued, 409);
    let cancelled = job(&server, &queued);
    assert_eq!(
        (&cancelled["state"], &cancelled["attempt"]),
        (&json!("cancelled"), &json!(0))
    );
    assert_eq!(
        server.get(&alias).send().expect(200).json()["state"],
        "aborted"
    );
    heard_of(&server, &queued, "cancelled");
}

#[test]
fn a_job_that_is_being_done_is_cancelled_and_its_run_aborted() {
    let server = start();
    let queued = enqueue(&server, "worker", FOR_LONG);
    traced(&server, 1);
    cancel(&server, &queued, 204);
    assert_eq!(job(&server, &queued)["state"], "cancelled");
    let alias = format!("/api/-/runs/{}", queued["runId"].as_str().unwrap());
    eventually(|| {
        let run = server.get(&alias).send().expect(200).json();
        (run["state"] == "aborted").then_some(())
    });
    // Its place is free.
    let next = enqueue(&server, "worker", "hi");
    once(&server, &next, "success");
    assert_eq!(job(&server, &queued)["state"], "cancelled");
}

#[test]
fn to_abort_the_run_of_a_job_is_to_cancel_the_job() {
    let server = start();
    let waits = enqueue_with(&server, "plain", "hi", json!({ "delay": 3_600_000 }));
    let works = enqueue(&server, "worker", FOR_LONG);
    traced(&server, 1);
    for queued in [&waits, &works] {
        let alias = queued["runId"].as_str().unwrap();
        let target = format!("/api/plain/runs/{alias}/abort");
        let _ = server.post(&target).send().expect(204);
        once(&server, queued, "cancelled");
    }
    let by_its_own_id = enqueue(&server, "worker", FOR_LONG);
    let run = traced(&server, 2).remove(1);
    let _ = server
        .post(&format!("/api/worker/runs/{run}/abort"))
        .send()
        .expect(204);
    once(&server, &by_its_own_id, "cancelled");
}

#[test]
fn whoever_watches_a_job_that_never_begins_reads_to_the_end() {
    let server = start();
    let queued = enqueue_with(&server, "plain", "hi", json!({ "delay": 3_600_000 }));
    let alias = queued["runId"].as_str().unwrap();
    let watched = server
        .get(&format!("/api/plain/stream-events/resume?streamId={alias}"))
        .open();
    cancel(&server, &queued, 204);
    assert!(watched.finish().is_empty());
}

#[test]
fn whoever_watches_a_job_that_waits_does_not_keep_the_server_from_ending() {
    let config = CONFIG.replace("shutdown_grace = \"1s\"", "shutdown_grace = \"5m\"");
    let server = ServerBuilder::new(&config).start();
    let queued = enqueue_with(&server, "plain", "hi", json!({ "delay": 3_600_000 }));
    let alias = queued["runId"].as_str().unwrap();
    let watched = server
        .get(&format!("/api/plain/stream-events/resume?streamId={alias}"))
        .open();
    server.signal(Signal::TERM);
    assert!(watched.finish().is_empty());
    // Far less than the grace.
    assert!(server.wait(SOON).status.success());
}

//! Jobs that outlive the server: that ends in order, and that is killed.

use std::collections::HashSet;

use integration_tests::Server;
use serde_json::{Value, json};

use super::{
    FOR_LONG, cancel, enqueue, enqueue_with, heard, heard_of, id, job, once, query, start, traced,
    traces,
};
use crate::support::eventually;

/// The call that waits for a decision, once it does.
#[track_caller]
fn waiting(server: &Server) -> Value {
    eventually(|| {
        let waiting = server.get("/api/-/approvals").send().expect(200).json();
        waiting["approvals"].get(0).cloned()
    })
}

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
fn a_job_whose_run_was_aborted_is_not_done_again() {
    let server = start();
    let queued = enqueue(&server, "worker", FOR_LONG);
    let run = traced(&server, 1).remove(0);
    let target = format!("/api/worker/runs/{run}/abort");
    let _ = server.post(&target).send().expect(204);

    let server = server.restart();

    assert_eq!(job(&server, &queued)["state"], "cancelled");
    traced(&server, 1);
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
    let before = waiting(&server);
    // What is shown is stored: from here on, nothing is lost.
    let alias = queued["runId"].as_str().expect("it has one");
    let resume = format!("/api/worker/stream-events/resume?streamId={alias}");
    let mut shown = server.get(&resume).open();
    shown.wait_for("TOOL_APPROVAL_UPDATED");
    let server = server.crash_and_restart();
    let after = waiting(&server);
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

#[test]
fn a_job_whose_run_had_ended_when_the_server_was_killed_ends_with_it() {
    let server = start();
    let queued = enqueue(&server, "worker", "call trace {}");
    let done = once(&server, &queued, "success");
    let builder = server.stop();
    // As a crash leaves it that comes between the end of the run and that of the job.
    query(
        builder.folder(),
        r#"update jobs set record = json_remove(json_set(record, '$.job.state', 'running',
           '$.lease', json('{"holder":"life_0","until":1}')), '$.job.completedAt', '$.job.result')
           returning job_id"#,
    );
    let server = builder.start();
    let again = once(&server, &queued, "success");
    for key in ["attempt", "result", "run"] {
        assert_eq!(again[key], done[key]);
    }
    traced(&server, 1);
}

#[test]
fn a_worker_keeps_the_lease_of_what_it_does() {
    let config = super::CONFIG.replace("[jobs]", "[jobs]\nlease = \"1s\"");
    let server = integration_tests::ServerBuilder::new(&config).start();
    let queued = enqueue(&server, "worker", FOR_LONG);
    traced(&server, 1);
    let until = || {
        query(
            server.folder(),
            "select record ->> '$.lease.until' || '' from jobs",
        )
    };
    let first = until().expect("it is leased");
    eventually(|| until().filter(|until| *until > first));
    assert_eq!(job(&server, &queued)["attempt"], 1);
}

#[test]
fn whenever_a_server_is_killed_each_job_ends_once() {
    const KILLS: usize = 4;
    const JOBS: usize = 24;
    let mut server = start();
    let more = json!({ "maxAttempts": 100, "backoff": 1 });
    let input = r#"call trace {"ms":5}"#;
    let jobs: Vec<Value> = (0..JOBS)
        .map(|_| enqueue_with(&server, "pair", input, more.clone()))
        .collect();
    for kill in 1..=KILLS {
        // Whatever is under way then.
        eventually(|| (traces(&server).len() >= kill * JOBS / (KILLS + 2)).then_some(()));
        server = server.crash_and_restart();
    }
    for queued in &jobs {
        once(&server, queued, "success");
        heard_of(&server, queued, "success");
    }
    let finished = "/api/-/runs?state=finished&limit=200";
    let finished = server.get(finished).send().expect(200).json();
    let finished: HashSet<String> = finished["runs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|run| Some(run["runId"].as_str()?.to_owned()))
        .collect();
    let own: HashSet<String> = jobs
        .iter()
        .map(|queued| job(&server, queued))
        .filter_map(|job| Some(job["run"].as_str()?.to_owned()))
        .collect();
    assert_eq!(own.len(), JOBS);
    assert_eq!(finished, own, "no job was done twice");
    assert!(
        traces(&server).len() <= JOBS + 2 * KILLS,
        "two at once were cut off by each kill"
    );
}

#[test]
fn rows_that_cannot_be_read_harm_no_other_job_and_no_start() {
    let server = start();
    let odd = enqueue_with(&server, "plain", "hi", json!({ "delay": 3_600_000 }));
    let good = enqueue(&server, "worker", r#"call trace {"ms":1500}"#);
    traced(&server, 1);
    query(
        server.folder(),
        "update runs set answer = 'loud' where ended_at is null",
    );
    query(
        server.folder(),
        "update jobs set record = json_set(record, '$.policy', 'odd', '$.job.scheduledAt', 1) \
         where state = 'queued'",
    );
    let server = server.crash_and_restart();

    // Its first run is not known any more.
    assert_eq!(once(&server, &good, "success")["attempt"], 2);
    let odd = id(&odd);
    let log = server.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains(odd)).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("correct or delete the row"), "{said:?}");
    let listed = server.get("/api/-/jobs").send().expect(200).json();
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(1), "{listed}");
    let _ = server.get(&format!("/api/-/jobs/{odd}")).send().expect(500);
}

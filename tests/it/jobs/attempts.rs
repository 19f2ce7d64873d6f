//! What becomes of a job: an end that is good, another attempt, or none any more.

use integration_tests::ServerBuilder;
use serde_json::json;

use super::{CONFIG, enqueue, enqueue_with, id, job, once, start};
use crate::support::{assert_code, eventually, kinds, plain};

#[test]
fn a_job_is_accepted_done_and_found() {
    let server = start();
    let body = json!({ "input": "hi", "maxAttempts": 2 });
    let accepted = server
        .post("/api/-/agents/plain/jobs")
        .json(&body)
        .send()
        .expect(202);
    let queued = accepted.json();
    let location = format!("/api/-/jobs/{}", id(&queued));
    assert_eq!(accepted.header("location"), Some(&*location));
    assert_eq!(queued["state"], "queued");
    assert_eq!(queued["runId"], format!("run:{}", id(&queued)));
    assert_eq!(
        (&queued["attempt"], &queued["maxAttempts"]),
        (&json!(0), &json!(2))
    );

    let done = once(&server, &queued, "success");

    assert_eq!(done["result"], "Hello world");
    assert_eq!(done["attempt"], 1);
    assert!(done["completedAt"].as_u64() >= done["createdAt"].as_u64());
    let listed = server.get("/api/-/jobs?state=success").send().expect(200);
    assert_eq!(listed.json()["jobs"], json!([done]));
}

#[test]
fn the_alias_of_a_job_is_its_run_wherever_a_run_id_may_stand() {
    let server = start();
    let queued = enqueue(&server, "plain", "hi");
    let alias = queued["runId"].as_str().unwrap();
    // From before it begins, until it ends.
    let resume = format!("/api/plain/stream-events/resume?streamId={alias}");
    let frames = server.get(&resume).open().finish();
    assert_eq!(
        kinds(&frames).first().map(String::as_str),
        Some("RUN_STARTED")
    );
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );

    let done = once(&server, &queued, "success");
    for alias in [alias, &alias.replace(':', "%3A")] {
        let run = server
            .get(&format!("/api/-/runs/{alias}"))
            .send()
            .expect(200);
        assert_eq!(run.json()["runId"], done["run"]);
        assert_eq!(run.json()["state"], "finished");
    }
}

#[test]
fn a_job_that_fails_is_tried_again_after_a_while_and_is_a_dead_letter_in_the_end() {
    let server = start();
    let more = json!({ "maxAttempts": 3, "backoff": 200 });
    let queued = enqueue_with(&server, "plain", "fail", more);
    let dead = once(&server, &queued, "dead-lettered");
    assert_eq!(dead["attempt"], 3);
    let error = json!({ "code": "UPSTREAM_FAILED", "message": "Fake upstream failed." });
    assert_eq!(dead["error"], error);
    assert!(dead.get("result").is_none(), "{dead}");
    let took = dead["completedAt"].as_u64().unwrap() - dead["createdAt"].as_u64().unwrap();
    assert!(
        took >= 200 + 400,
        "it waited {took} ms between three attempts"
    );
    // Each attempt was a run of its own.
    let runs = server
        .get("/api/-/runs?state=failed")
        .send()
        .expect(200)
        .json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(runs["runs"][0]["runId"], dead["run"]);
}

#[test]
fn the_output_is_checked_against_the_schema_of_the_job() {
    let server = start();
    let schema = json!({ "type": "object", "required": ["n"] });
    let more = || json!({ "outputSchema": schema, "maxAttempts": 2, "backoff": 1 });
    let fits = enqueue_with(&server, "plain", r#"json {"n":1}"#, more());
    assert_eq!(once(&server, &fits, "success")["result"], json!({ "n": 1 }));
    let unfit = enqueue_with(&server, "plain", r#"json {"m":1}"#, more());
    let unfit = once(&server, &unfit, "dead-lettered");
    assert_eq!(unfit["attempt"], 2);
    assert_code(&unfit["error"], "VALIDATION_FAILED");
    assert!(
        unfit["error"]["message"].as_str().unwrap().contains("'n'"),
        "{unfit}"
    );
}

#[test]
fn what_cannot_be_done_is_refused_and_not_enqueued() {
    let server = start();
    let ask = |body| server.post("/api/-/agents/plain/jobs").json(&body).send();
    let unknown = server
        .post("/api/-/agents/ghost/jobs")
        .json(&json!({ "input": "hi" }));
    let unknown = unknown.send().expect(404);
    assert_code(&unknown.json(), "NOT_FOUND");
    for (body, place) in [
        (json!({}), "/"),
        (json!({ "input": "hi", "maxAttempts": 0 }), "/maxAttempts"),
        (
            json!({ "input": "hi", "max/attempts": 2 }),
            "/max~1attempts",
        ),
        (
            json!({ "input": "hi", "resultPolicy": "x" }),
            "/resultPolicy",
        ),
    ] {
        let refused = ask(body).expect(422).json();
        assert_eq!(refused["issues"][0]["path"], place, "{refused}");
    }
    let _ = ask(json!({ "input": [1] })).expect(422);
    let no_schema = json!({ "input": "hi", "outputSchema": { "type": 7 } });
    let _ = ask(no_schema).expect(422);
    let listed = server.get("/api/-/jobs").send().expect(200).json();
    assert_eq!(listed, json!({ "jobs": [], "next": null }));
}

#[test]
fn a_queue_that_is_full_refuses_and_so_does_a_server_without_a_store() {
    let body = json!({ "input": "hi", "delay": 3_600_000 });
    let full = plain("[jobs]\nmax_queued = 1\n").start();
    let _ = full
        .post("/api/-/agents/plain/jobs")
        .json(&body)
        .send()
        .expect(202);
    let refused = full
        .post("/api/-/agents/plain/jobs")
        .json(&body)
        .send()
        .expect(503);
    assert_code(&refused.json(), "UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), Some("1"));

    let without = plain("[store]\nurl = \"none\"\n").start();
    let refused = without
        .post("/api/-/agents/plain/jobs")
        .json(&body)
        .send()
        .expect(503)
        .json();
    assert_code(&refused, "UNAVAILABLE");
    assert!(
        refused["message"].as_str().unwrap().contains("store.url"),
        "{refused}"
    );
}

#[test]
fn a_job_whose_agent_is_gone_fails_and_says_so() {
    let server = start();
    let queued = enqueue_with(&server, "worker", "hi", json!({ "delay": 1000 }));
    let others = CONFIG.replace("[agents.worker]", "[agents.other]");
    let server = server.stop().config(&others).start();
    let failed = once(&server, &queued, "failed");
    assert_code(&failed["error"], "NOT_FOUND");
    assert_eq!(failed["error"]["message"], "Agent 'worker' does not exist.");
    let run = format!("/api/-/runs/{}", queued["runId"].as_str().unwrap());
    let run = server.get(&run).send().expect(200).json();
    assert_eq!(
        (&run["state"], &run["runId"]),
        (&json!("failed"), &queued["runId"])
    );
}

#[test]
fn jobs_in_memory_are_done_too() {
    let server = ServerBuilder::new(&format!("[store]\nurl = \"memory:\"\n{CONFIG}")).start();
    let queued = enqueue_with(&server, "plain", "hi", json!({ "delay": 100 }));
    assert_eq!(job(&server, &queued)["state"], "queued");
    assert_eq!(once(&server, &queued, "success")["result"], "Hello world");
}

#[test]
fn a_job_whose_owner_has_used_up_the_day_waits_for_the_next() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let server = ServerBuilder::new(&format!("[quota]\nruns_per_day = 1\n{CONFIG}")).start();
    let first = enqueue_with(&server, "plain", "hi", json!({ "maxAttempts": 1 }));
    once(&server, &first, "success");
    let second = enqueue_with(&server, "plain", "hi", json!({ "maxAttempts": 1 }));
    let waiting = eventually(|| Some(job(&server, &second)).filter(|it| it.get("error").is_some()));
    assert_eq!(waiting["state"], "queued", "{waiting}");
    assert_eq!(waiting["attempt"], 0);
    assert_code(&waiting["error"], "RATE_LIMITED");
    let at = waiting["scheduledAt"].as_u64().unwrap();
    assert_eq!(at % DAY, 0, "at midnight");
    assert!(at > waiting["createdAt"].as_u64().unwrap());
}

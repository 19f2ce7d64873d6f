//! Jobs of plugins, and what plugins hear of jobs.

use std::fs;

use serde_json::{Value, json};

use super::{
    FOR_LONG, enqueue, enqueue_with, heard, heard_of, id, job, once, query, start, traced,
};
use crate::support::eventually;

#[test]
fn a_plugin_enqueues_a_job_watches_it_and_finds_it() {
    let server = start();
    let body = json!({ "run": { "agent": "plain", "input": "hi" }, "delay": 300 });
    let queued = server
        .post("/api/clerk")
        .json(&body)
        .send()
        .expect(200)
        .json();
    assert_eq!(
        (&queued["service"], &queued["instance"]),
        (&json!("fixture"), &json!("fixture"))
    );
    let target = format!("/api/clerk/{}", id(&queued));
    let known = server.get(&target).send().expect(200).json();
    assert_eq!(known["job"], queued);
    assert_eq!(known["run"]["state"], "queued");

    let events = server
        .get(&format!("{target}/events"))
        .send()
        .expect(200)
        .json();
    let events = events.as_array().unwrap();
    assert_eq!(events.first(), Some(&json!("RUN_STARTED")));
    assert_eq!(events.last(), Some(&json!("RUN_FINISHED")));

    let done = once(&server, &queued, "success");
    let known = server.get(&target).send().expect(200).json();
    assert_eq!(known["job"], done);
    assert_eq!(
        (&known["run"]["runId"], &known["run"]["state"]),
        (&done["run"], &json!("finished"))
    );
}

#[test]
fn a_plugin_cancels_a_job_and_aborts_its_run() {
    let server = start();
    let queued = enqueue(&server, "worker", FOR_LONG);
    traced(&server, 1);
    let target = format!("/api/clerk/{}", id(&queued));
    let cancel = || server.request("DELETE", &target).send().expect(200).json();
    assert_eq!((cancel(), cancel()), (json!(true), json!(false)));
    assert_eq!(job(&server, &queued)["state"], "cancelled");
    let gone = server.get("/api/clerk/job_0").send().expect(200).json();
    assert_eq!(gone, json!({ "job": null, "run": null }));
}

#[test]
fn a_plugin_hears_that_a_job_begins_and_how_it_ends() {
    let server = start();
    let named = json!({ "service": "support", "name": "triage" });
    let queued = enqueue_with(&server, "plain", "hi", named);
    let told = heard_of(&server, &queued, "success");
    assert_eq!(told["name"], "support.triage.completed");
    assert_eq!(told["job"]["result"], "Hello world");
    assert_eq!(told["job"]["attempt"], 1);
    let all: Vec<Value> = heard(&server).iter().map(|it| it["name"].clone()).collect();
    assert_eq!(all, ["support.triage.progress", "support.triage.completed"]);

    let fails = enqueue_with(&server, "plain", "fail", json!({ "maxAttempts": 1 }));
    let told = heard_of(&server, &fails, "dead-lettered");
    assert_eq!(told["name"], "mortise.plain.failed");
    assert_eq!(told["job"]["error"], job(&server, &fails)["error"]);
}

#[test]
fn the_result_is_where_its_policy_says() {
    let server = start();
    let done = |policy: &str| {
        let queued = enqueue_with(&server, "plain", "hi", json!({ "resultPolicy": policy }));
        once(&server, &queued, "success")
    };
    let result = |job: &Value| job.get("result").cloned();
    let said = Some(json!("Hello world"));
    assert_eq!(result(&done("state")), said);
    assert_eq!(result(&done("none")), None);
    let of_event = done("event");
    assert_eq!(result(&of_event), None);
    assert_eq!(
        result(&heard_of(&server, &of_event, "success")["job"]),
        said
    );
    let of_both = done("state-and-event");
    assert_eq!(result(&of_both), said);
    assert_eq!(result(&heard_of(&server, &of_both, "success")["job"]), said);
    // Nothing was said of the first two.
    let all = heard(&server).len();
    assert_eq!(all, 4, "{:?}", heard(&server));
}

#[test]
fn an_end_that_was_not_heard_before_a_crash_is_heard_after_it() {
    let server = start();
    let slow = server.folder().join("heard.slow");
    let policy = json!({ "resultPolicy": "event" });
    fs::write(&slow, "").expect("there is room for a file");
    let queued = enqueue_with(&server, "plain", "hi", policy);
    // It is slow to hear of the beginning: nobody waits for it.
    once(&server, &queued, "success");

    let server = server.crash_and_restart();
    heard_of(&server, &queued, "success");
    let server = server.crash_and_restart();
    fs::remove_file(&slow).expect("it is there");
    let ends = |server| {
        let heard: Vec<Value> = heard(server);
        let is_end = |it: &&Value| it["name"] == "mortise.plain.completed";
        heard.iter().filter(is_end).cloned().collect::<Vec<_>>()
    };
    let twice = eventually(|| Some(ends(&server)).filter(|ends| ends.len() == 2));
    assert_eq!(twice[0], twice[1]);
    assert_eq!(twice[0]["job"]["result"], "Hello world");
}

#[test]
fn an_end_is_told_again_until_it_is_stored_that_it_was() {
    let server = start();
    query(
        server.folder(),
        "create trigger refused before update on jobs \
         when old.is_untold and not (new.record ->> '$.is_untold') \
         begin select raise(abort, 'refused'); end",
    );
    let queued = enqueue(&server, "plain", "hi");
    let ends = || {
        let heard = heard(&server);
        let is_end = |it: &&Value| it["name"] == "mortise.plain.completed";
        heard.iter().filter(is_end).count()
    };
    // Nothing else happens meanwhile.
    eventually(|| (ends() >= 2).then_some(()));
    query(server.folder(), "drop trigger refused");
    eventually(|| {
        query(
            server.folder(),
            "select job_id from jobs where not is_untold",
        )
    });
    assert_eq!(job(&server, &queued)["state"], "success");
}

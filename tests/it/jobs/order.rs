//! Which job comes next, and how many at the same time.

use serde_json::json;

use super::{FOR_LONG, cancel, enqueue, enqueue_with, once, start, traced};

#[test]
fn those_with_more_priority_come_first_then_the_oldest() {
    let server = start();
    let first = enqueue(&server, "worker", FOR_LONG);
    traced(&server, 1);
    let trace = "call trace {}";
    let low = enqueue_with(&server, "worker", trace, json!({ "priority": -1 }));
    let old = enqueue(&server, "worker", trace);
    let young = enqueue(&server, "worker", trace);
    let high = enqueue_with(&server, "worker", trace, json!({ "priority": 5 }));
    cancel(&server, &first, 204);
    let expected = [&high, &old, &young, &low].map(|queued| once(&server, queued, "success"));
    let runs = traced(&server, 5);
    assert_eq!(
        runs[1..],
        expected.map(|job| job["run"].as_str().unwrap().to_owned())
    );
}

#[test]
fn an_agent_has_as_many_jobs_at_once_as_the_configuration_says() {
    let server = start();
    let pair: Vec<_> = (0..4).map(|_| enqueue(&server, "pair", FOR_LONG)).collect();
    let worker: Vec<_> = (0..2)
        .map(|_| enqueue(&server, "worker", FOR_LONG))
        .collect();
    let count = |state: &str, agent: &str| {
        let target = format!("/api/-/jobs?state={state}&agent={agent}");
        let jobs = server.get(&target).send().expect(200).json();
        jobs["jobs"].as_array().map(Vec::len)
    };
    traced(&server, 3);
    assert_eq!(
        (count("running", "pair"), count("queued", "pair")),
        (Some(2), Some(2))
    );
    assert_eq!(
        (count("running", "worker"), count("queued", "worker")),
        (Some(1), Some(1))
    );
    cancel(&server, &pair[0], 204);
    traced(&server, 4);
    cancel(&server, &worker[0], 204);
    traced(&server, 5);
    assert_eq!(
        (count("running", "pair"), count("queued", "pair")),
        (Some(2), Some(1))
    );
    assert_eq!(
        (count("running", "worker"), count("queued", "worker")),
        (Some(1), Some(0))
    );
}

#[test]
fn a_job_is_not_begun_before_its_time() {
    let server = start();
    let queued = enqueue_with(&server, "plain", "hi", json!({ "delay": 300 }));
    let done = once(&server, &queued, "success");
    let waited = done["completedAt"].as_u64().unwrap() - done["createdAt"].as_u64().unwrap();
    assert!(waited >= 300, "{waited} ms");
}

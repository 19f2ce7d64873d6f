//! Whose a job is, and what others see of it: nothing.

use integration_tests::{Reply, ServerBuilder};
use serde_json::json;

use super::{CONFIG, id};

#[test]
fn the_job_of_somebody_else_is_not_there() {
    let config = CONFIG
        .replace("[server]", "[server]\nauth = \"any\"")
        .replace("clerk = \"heard\"", "clerk = \"heard\", tokens = true");
    let server = ServerBuilder::new(&config).start();
    let ask = |who: &str, method: &str, target: &str| -> Reply {
        let request = server.anonymous(method, target);
        request.bearer(&format!("token-{who}")).send()
    };
    let body = json!({ "input": "hi", "delay": 3_600_000 });
    let of_ann = server
        .post("/api/-/agents/plain/jobs")
        .bearer("token-ann")
        .json(&body)
        .send();
    let of_ann = of_ann.expect(202).json();
    assert_eq!(of_ann["principal"]["subject"], "ann");
    let job = format!("/api/-/jobs/{}", id(&of_ann));
    let absent = format!("{}0000", &job[..job.len() - 4]);
    let alias = of_ann["runId"].as_str().unwrap();
    let run = format!("/api/-/runs/{alias}");
    let watch = format!("/api/plain/stream-events/resume?streamId={alias}");
    let abort = format!("/api/plain/runs/{alias}/abort");

    for method in ["GET", "DELETE"] {
        let theirs = ask("bob", method, &job).expect(404);
        assert_eq!(
            theirs.text(),
            ask("bob", method, &absent).expect(404).text()
        );
    }
    let listed = ask("bob", "GET", "/api/-/jobs").expect(200).json();
    assert_eq!(listed["jobs"], json!([]));
    let _ = ask("bob", "GET", &run).expect(404);
    assert_eq!(ask("bob", "GET", &watch).expect(200).text(), "");
    let _ = ask("bob", "POST", &abort).expect(204);

    let still = ask("ann", "GET", &job).expect(200).json();
    assert_eq!(still["state"], "queued");
    assert_eq!(
        ask("ann", "GET", &run).expect(200).json()["state"],
        "queued"
    );
    let _ = ask("ann", "DELETE", &job).expect(204);
    let listed = ask("ann", "GET", "/api/-/jobs?state=cancelled")
        .expect(200)
        .json();
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(1));
}

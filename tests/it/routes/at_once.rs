//! Many who want the same at the same time: one of them gets it, and all are answered.

use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};

use integration_tests::{Reply, Request};
use serde_json::json;

use crate::support::{kinds, only, plain, target};

/// Sends these requests at the same time.
fn at_once(requests: Vec<Request>) -> Vec<Reply> {
    let ready = Barrier::new(requests.len());
    thread::scope(|scope| {
        let send = |request: Request| {
            let ready = &ready;
            scope.spawn(move || {
                ready.wait();
                request.send()
            })
        };
        let sending: Vec<_> = requests.into_iter().map(send).collect();
        let answers = sending.into_iter().map(ScopedJoinHandle::join);
        answers.map(|it| it.expect("it is answered")).collect()
    })
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|it| it.status() == status).count()
}

#[test]
fn of_many_results_of_one_call_the_run_takes_one() {
    let server = target("a");
    let mut run = server.stream("interactive", r#"call confirm {"q":"sure?"}"#);
    run.wait_for("TOOL_CALL_END");
    let result = |number: u32| {
        let body = json!({
            "runId": run.run_id(), "toolCallId": "call_1", "status": "success", "result": number,
        });
        server.post("/api/interactive/run/tool-result").json(&body)
    };

    let replies = at_once((0..20).map(result).collect());

    assert_eq!((count(&replies, 204), count(&replies, 404)), (1, 19));
    let taken = replies.iter().position(|it| it.status() == 204);
    let shown = only(&run.finish(), "TOOL_CALL_RESULT")["result"].clone();
    assert_eq!(shown.as_u64(), taken.map(|it| it as u64));
}

#[test]
fn of_an_approval_and_a_denial_at_once_one_counts() {
    let server = target("a");
    for _ in 0..5 {
        let mut run = server.stream("interactive", r#"call wipe {"path":"/x"}"#);
        run.wait_for("TOOL_APPROVAL_UPDATED");
        let decide = |decision: &str| {
            let body =
                json!({ "runId": run.run_id(), "toolCallId": "call_1", "decision": decision });
            server
                .post("/api/interactive/run/tool-approval")
                .json(&body)
        };

        let replies = at_once(vec![decide("approved"), decide("denied")]);

        assert_eq!((count(&replies, 204), count(&replies, 404)), (1, 1));
        let result = only(&run.finish(), "TOOL_CALL_RESULT")["result"].clone();
        let was_wiped = result == json!({ "wiped": "/x" });
        assert_eq!(was_wiped, replies[0].status() == 204, "{result}");
    }
}

#[test]
fn many_aborts_end_a_run_once() {
    let server = target("a");
    let mut run = server.stream("plain", "slow");
    run.wait_for("TEXT_MESSAGE_CONTENT");
    let path = format!("/api/plain/runs/{}/abort", run.run_id());

    let replies = at_once((0..50).map(|_| server.post(&path)).collect());

    assert_eq!(count(&replies, 204), 50);
    let kinds = kinds(&run.finish());
    let aborted = kinds.iter().filter(|it| *it == "RUN_ABORTED").count();
    assert_eq!(aborted, 1, "{kinds:?}");
}

#[test]
fn many_requests_with_one_new_key_are_one_run() {
    let server = plain("").start();
    let ask = |_| server.run("plain", "hi").header("idempotency-key", "k");

    let replies = at_once((0..60).map(ask).collect());

    let (done, under_way) = (count(&replies, 200), count(&replies, 409));
    assert!(done > 0 && done + under_way == 60, "{done} and {under_way}");
    let runs = server.get("/api/-/runs").send().expect(200).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
}

#[test]
fn many_streams_with_one_new_key_show_one_run_and_none_seems_to_be_over_before_it_is() {
    let server = plain("").start();
    for round in 0..10 {
        let body = json!({ "input": "hi" });
        let ask = |_| {
            let request = server.post("/api/plain/run").json(&body);
            let request = request.header("accept", "text/event-stream");
            request.header("idempotency-key", &format!("k{round}"))
        };

        let replies = at_once((0..20).map(ask).collect());

        let whole = |it: &&Reply| it.text().contains("RUN_FINISHED");
        assert!(replies.iter().any(|it| whole(&it)), "{round}");
        for reply in replies.iter().filter(|it| !whole(it)) {
            let is_told = reply.status() == 409 || reply.text().contains(": resume");
            assert!(is_told, "{} {:?}", reply.status(), reply.text());
        }
    }
    let runs = server.get("/api/-/runs").send().expect(200).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 10, "{runs}");
}

//! Stored conversations: continued, shown, and protected against a second writer.

use std::thread;

use integration_tests::{Reply, Server};
use serde_json::{Value, json};

use crate::support::{assert_code, eventually, only, target, text_of};

fn say(server: &Server, conversation: &str, prompt: &str) -> Reply {
    server
        .post("/api/plain/run")
        .json(&json!({ "input": prompt, "conversationId": conversation }))
        .send()
}

#[track_caller]
fn items(server: &Server, agent: &str, conversation: &str) -> Vec<Value> {
    let path = format!("/api/{agent}/conversations/{conversation}");
    let body = server.get(&path).send().expect(200).json();
    body["items"].as_array().cloned().unwrap_or_default()
}

/// The run that began last, as a plugin has seen it.
fn last_run(server: &Server) -> Value {
    let reply = server.anonymous("GET", "/api/last-run").send();
    reply.expect(200).json()["runId"].clone()
}

#[test]
fn a_conversation_is_remembered_and_continued() {
    let server = target("a");

    let _ = say(&server, "c1", "hi").expect(200);
    let told = say(&server, "c1", "hist").expect(200);

    // What was said, what was answered, and the question at hand.
    assert!(told.text().contains("history=3"), "{}", told.text());
    assert_eq!(items(&server, "plain", "c1").len(), 4);
}

#[test]
fn a_history_can_be_replaced() {
    let server = target("a");
    let _ = say(&server, "c2", "hi").expect(200);

    let body = json!({ "input": "hist", "conversationId": "c2", "replaceHistory": true });
    let told = server.post("/api/plain/run").json(&body).send().expect(200);

    assert!(told.text().contains("history=1"), "{}", told.text());
    assert_eq!(items(&server, "plain", "c2").len(), 2);
}

#[test]
fn histories_belong_to_one_agent_and_names_may_hold_anything() {
    let server = target("a");

    let _ = say(&server, "a/b c", "hi").expect(200);

    assert_eq!(items(&server, "plain", "a%2Fb%20c").len(), 2);
    let _ = server
        .get("/api/assistant/conversations/a%2Fb%20c")
        .send()
        .expect(204);
    let _ = server
        .get("/api/ghost/conversations/a%2Fb%20c")
        .send()
        .expect(404);
}

#[test]
fn a_failed_run_is_not_remembered() {
    let server = target("a");

    let _ = say(&server, "c3", "fail").expect(502);

    let _ = server.get("/api/plain/conversations/c3").send().expect(204);
}

#[test]
fn of_two_runs_of_a_conversation_the_slower_one_fails() {
    let server = target("a");
    let _ = say(&server, "race", "hi").expect(200);
    let body = json!({ "input": "slow", "conversationId": "race" });
    let mut slow = server.post("/api/plain/run").json(&body).open();
    slow.wait_for("TEXT_MESSAGE_CONTENT");

    let _ = say(&server, "race", "hi").expect(200);

    let frames = slow.finish();
    let error = only(&frames, "RUN_ERROR")["error"].clone();
    assert_eq!(error["code"], "CONFLICT");
    assert_eq!(error["status"], 409);
    assert!(text_of(&frames).ends_with("t29 "));
}

#[test]
fn a_json_run_that_comes_second_answers_409() {
    let server = target("a");
    let _ = say(&server, "race", "hi").expect(200);

    let before = last_run(&server);
    let slow = thread::scope(|scope| {
        let slow = scope.spawn(|| say(&server, "race", "slow"));
        eventually(|| (last_run(&server) != before).then_some(()));
        let _ = say(&server, "race", "hi").expect(200);
        slow.join().expect("the request is answered")
    });

    assert_code(&slow.expect(409).json(), "CONFLICT");
}

#[test]
fn a_hook_may_keep_something_out_of_the_store() {
    let server = target("e");
    let body = json!({ "input": "my secret", "conversationId": "clean" });

    let _ = server.post("/plain/run").json(&body).send().expect(200);

    let stored = server.get("/plain/conversations/clean").send().expect(200);
    assert!(!stored.text().contains("secret"), "{}", stored.text());
}

#[test]
fn a_failed_call_is_remembered_as_one() {
    let server = target("a");
    let body = json!({ "input": "call boom", "conversationId": "c4" });

    let _ = server
        .post("/api/assistant/run")
        .json(&body)
        .send()
        .expect(200);

    let items = items(&server, "assistant", "c4");
    let calls = items.iter().filter(|item| item["type"] == "tool-call");
    let failures: Vec<_> = calls.map(|call| call["isError"] == true).collect();
    assert_eq!(
        failures,
        [false, true],
        "the call, and its result: {items:?}"
    );
}

#[test]
fn without_a_store_there_is_nothing_to_load() {
    let server = target("b");

    let _ = server.get("/plain/conversations/x").send().expect(204);
}

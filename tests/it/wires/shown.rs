//! A run on its way over the wires, step by step.

use integration_tests::{Frame, SseReader};
use serde_json::{Value, json};

use super::{TRANSFER, start, transfers};
use crate::support::{eventually, kinds, text_of};

fn numbers(frames: &[Frame]) -> Vec<u64> {
    let numbers = frames.iter().filter_map(|frame| frame.id.as_deref());
    numbers.map(|id| id.parse().expect("a number")).collect()
}

/// Reads until an event of this kind, and hangs up.
#[track_caller]
fn until(mut stream: SseReader, kind: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let frame = stream.next_frame().expect("the stream goes on");
        let is_it = frame.kind() == kind;
        frames.push(frame);
        if is_it {
            return frames;
        }
    }
}

#[test]
fn a_run_begins_in_the_chat_is_resumed_natively_and_approved_over_the_runs_api() {
    let server = start();
    let body = json!({ "messages": [{ "role": "user", "content": TRANSFER }], "sessionId": "s1" });
    let mut chat = server.post("/chat").json(&body).open();
    let run = chat.run_id();
    while chat.next_frame().expect("it goes on").kind() != "tool_call_end" {}

    // The native API knows the run too, by its session, and shows it from any event on.
    let listed = server
        .get("/api/-/runs?conversationId=s1")
        .send()
        .expect(200);
    assert_eq!(listed.json()["runs"][0]["runId"], run.as_str());
    let resume = |after: Option<u64>| {
        let path = format!("/api/clerk/stream-events/resume?streamId={run}");
        let request = server.get(&path);
        match after {
            Some(after) => request.header("last-event-id", &after.to_string()),
            None => request,
        }
        .open()
    };
    let mut frames = until(resume(None), "TOOL_APPROVAL_REQUIRED");

    let path = format!("/api/agents/clerk/runs/{run}");
    let paused = server.get(&format!("{path}/status")).send().expect(200);
    assert_eq!(paused.json()["status"], "PAUSED");
    assert_eq!(paused.json()["sessionId"], "s1");
    let approved = server
        .post(&format!("{path}/continue"))
        .json(&json!({ "action": "APPROVE" }))
        .send()
        .expect(200)
        .json();

    // All three tell the same end.
    frames.extend(resume(numbers(&frames).pop()).finish());
    assert_eq!(
        numbers(&frames),
        (0..frames.len() as u64).collect::<Vec<_>>()
    );
    assert_eq!(kinds(&frames).last().expect("it ends"), "RUN_FINISHED");
    let said = "Tool said: moved 5";
    assert_eq!(text_of(&frames), said);
    assert_eq!(
        (&approved["status"], &approved["content"]),
        (&json!("COMPLETED"), &json!(said))
    );
    let shown: Vec<Value> = chat.finish().iter().map(Frame::json).collect();
    let texts = shown.iter().filter(|it| it["type"] == "text");
    let text: String = texts.filter_map(|it| it["delta"].as_str()).collect();
    assert_eq!(text, said);
    assert_eq!(shown.last().expect("it ends")["type"], "done");
    assert_eq!(transfers(&server), 1);
}

#[test]
fn a_question_of_a_run_of_any_wire_is_answered_in_the_chat() {
    let server = start();
    let ask = "[ask:Which file?]";
    let body = json!({ "message": ask, "sessionId": "s2" });
    let path = "/api/agents/clerk/runs";
    let began = server
        .post(&format!("{path}/background"))
        .json(&body)
        .send();
    let began = began.expect(200).json();
    let run = began["runId"].as_str().expect("a run has an id").to_owned();

    let answer = json!({ "messages": [{ "role": "user", "content": "a.txt" }], "sessionId": "s2" });
    let reply = server.post("/chat/sync").json(&answer).send().expect(200);
    assert_eq!(reply.header("mortise-run-id"), Some(run.as_str()));
    assert_eq!(reply.json()["response"], "Tool said: a.txt");
    let ended = eventually(|| {
        let run = server.get(&format!("{path}/{run}/status")).send().json();
        (run["status"] == "COMPLETED").then_some(run)
    });
    assert_eq!(ended["output"], "Tool said: a.txt");
    let sessions = server.get("/sessions").send().expect(200).json();
    assert_eq!(sessions["sessions"][0]["id"], "s2");
}

#[test]
fn a_turn_of_the_chat_is_cancelled_over_the_runs_api() {
    let server = start();
    let body = json!({ "messages": [{ "role": "user", "content": TRANSFER }] });
    let mut chat = server.post("/chat").json(&body).open();
    let run = chat.run_id();
    while chat.next_frame().expect("it goes on").kind() != "tool_call_end" {}

    let path = format!("/api/agents/clerk/runs/{run}");
    let _ = server.request("DELETE", &path).send().expect(204);

    let last = chat.finish().pop().expect("it ends").json();
    assert_eq!(
        last,
        json!({ "type": "error", "error": "The run was aborted." })
    );
    let ended = server.get(&format!("{path}/status")).send().json();
    assert_eq!(ended["status"], "CANCELLED");
    assert_eq!(transfers(&server), 0);
}

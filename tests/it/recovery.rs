//! Runs that outlive the process: after a crash, after an end in order, and those that cannot.

use integration_tests::{Frame, Server, ServerBuilder, SseReader};
use serde_json::{Value, json};

use crate::support::{eventually, kinds, only, plain, text_of};

const CONFIG: &str = r#"
[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true }

[agents.interactive]
model = "scripted/fake-1"
tools = ["add", "confirm", "wipe", "slow_tool", "confirm_gate"]
"#;

fn start() -> Server {
    ServerBuilder::new(CONFIG).start()
}

#[test]
fn a_run_that_a_plugin_begins_when_it_starts_is_not_one_of_the_last_server() {
    let own = "config = { tools = true, begins = \"interactive\" }";
    let server = ServerBuilder::new(&CONFIG.replace("config = { tools = true }", own)).start();

    let ended = eventually(|| {
        let runs = server.get("/api/-/runs").send().expect(200).json()["runs"].take();
        let run = runs.get(0).cloned()?;
        run.get("endedAt").is_some().then_some(run)
    });

    assert_eq!(ended["state"], "finished", "{}", server.log());
}

/// What was read before the connection broke, however it broke.
fn numbered(server: &Server, prompt: &str) -> SseReader {
    server
        .post("/api/interactive/run?ids=1")
        .json(&json!({ "input": prompt }))
        .open()
}

/// Everything of a run, from its beginning, until it ends.
#[track_caller]
fn whole(server: &Server, run_id: &str) -> Vec<Frame> {
    let target = format!("/api/interactive/stream-events/resume?streamId={run_id}&afterSeq=-1");
    let frames = server.get(&target).open().finish();
    let numbers: Vec<u64> = frames
        .iter()
        .map(|frame| frame.json()["seq"].as_u64().expect("it has a number"))
        .collect();
    let expected: Vec<u64> = (0..frames.len() as u64).collect();
    assert_eq!(numbers, expected, "no gap and nothing twice");
    frames
}

#[track_caller]
fn answer(server: &Server, what: &str, run_id: &str, answer: &Value) {
    let mut body = answer.clone();
    body["runId"] = run_id.into();
    body["toolCallId"] = "call_1".into();
    let target = format!("/api/interactive/run/{what}");
    let _ = server.post(&target).json(&body).send().expect(204);
}

fn approved() -> Value {
    json!({ "decision": "approved", "note": "go" })
}

#[test]
fn an_approval_that_was_asked_for_before_a_crash_is_decided_after_it() {
    let server = start();
    let mut run = numbered(&server, r#"call wipe {"path":"/tmp/x"}"#);
    run.wait_for("TOOL_CALL_END");
    run.wait_for("TOOL_APPROVAL_UPDATED");
    let run_id = run.run_id();

    let server = server.crash_and_restart();
    answer(&server, "tool-approval", &run_id, &approved());

    let frames = whole(&server, &run_id);
    assert_eq!(
        only(&frames, "TOOL_CALL_RESULT")["result"],
        json!({ "wiped": "/tmp/x" })
    );
    let states: Vec<Value> = frames
        .iter()
        .map(Frame::json)
        .filter(|event| event["type"] == "TOOL_APPROVAL_UPDATED")
        .map(|event| event["state"].clone())
        .collect();
    assert_eq!(states, ["requested", "approved"]);
    assert_eq!(text_of(&frames), r#"Tool said: {"wiped":"/tmp/x"}"#);
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
}

#[test]
fn a_decision_that_was_answered_survives_a_crash_that_follows_at_once() {
    let server = start();
    let mut run = numbered(&server, r#"call wipe {"path":"a"} && slow_tool {}"#);
    run.wait_for("TOOL_APPROVAL_UPDATED");
    let run_id = run.run_id();
    answer(&server, "tool-approval", &run_id, &approved());
    // The second call is at work now, or about to be: it must not be run twice.
    run.wait_for("TOOL_CALL_RESULT");

    let server = server.crash_and_restart();

    let frames = whole(&server, &run_id);
    assert_eq!(
        only(&frames, "TOOL_CALL_RESULT")["result"],
        json!({ "wiped": "a" })
    );
    let error = only(&frames, "RUN_ERROR");
    assert_eq!(error["error"]["code"], "INTERRUPTED");
}

#[test]
fn a_client_answers_its_tool_after_a_crash() {
    let server = start();
    let mut run = numbered(
        &server,
        r#"call add {"a":1,"b":2} && confirm {"q":"sure?"}"#,
    );
    let call = run.wait_for("TOOL_CALL_RESULT");
    assert_eq!(call["toolCallName"], "add");
    let run_id = run.run_id();

    let server = server.crash_and_restart();
    let body = json!({
        "runId": run_id, "toolCallId": "call_2", "status": "success", "result": { "ok": true }
    });
    let _ = server
        .post("/api/interactive/run/tool-result")
        .json(&body)
        .send()
        .expect(204);

    let frames = whole(&server, &run_id);
    let results: Vec<Value> = frames
        .iter()
        .map(Frame::json)
        .filter(|event| event["type"] == "TOOL_CALL_RESULT")
        .map(|event| event["result"].clone())
        .collect();
    assert_eq!(results, [json!({ "sum": 3 }), json!({ "ok": true })]);
    assert_eq!(text_of(&frames), r#"Tool said: {"ok":true}"#);
}

#[test]
fn what_a_client_has_answered_before_a_crash_is_not_answered_again() {
    let server = start();
    let mut run = numbered(&server, r#"call wipe {"path":"a"} && confirm {"q":"?"}"#);
    run.wait_for("TOOL_APPROVAL_UPDATED");
    let run_id = run.run_id();
    // The second call has not got its turn, and may be answered all the same.
    let says = |server: &Server, result: &str| {
        let body = json!({
            "runId": run_id, "toolCallId": "call_2", "status": "success", "result": result
        });
        let request = server.post("/api/interactive/run/tool-result").json(&body);
        request.send().status()
    };
    assert_eq!(says(&server, "first"), 204);

    let server = server.crash_and_restart();
    assert_eq!(says(&server, "second"), 404);
    answer(&server, "tool-approval", &run_id, &approved());

    let frames = whole(&server, &run_id);
    assert_eq!(text_of(&frames), r#"Tool said: "first""#);
}

#[test]
fn an_end_in_order_parks_a_run_that_waits_and_tells_its_reader_to_come_back() {
    let server = start();
    let mut run = numbered(&server, r#"call confirm {"q":"sure?"}"#);
    run.wait_for("TOOL_CALL_END");
    let run_id = run.run_id();

    let server = server.restart();

    let last = run.next_frame().and_then(|frame| frame.comment);
    let resume = format!("resume {run_id} ");
    assert!(
        last.as_ref().is_some_and(|it| it.starts_with(&resume)),
        "{last:?}"
    );
    assert_eq!(run.next_frame(), None);
    let result = json!({ "status": "success", "result": "yes" });
    answer(&server, "tool-result", &run_id, &result);
    let frames = whole(&server, &run_id);
    assert_eq!(text_of(&frames), r#"Tool said: "yes""#);
}

#[test]
fn a_run_whose_model_was_at_work_ends_as_interrupted() {
    let server = start();
    let mut run = numbered(&server, "slow");
    run.wait_for("TEXT_MESSAGE_CONTENT");
    let run_id = run.run_id();

    let server = server.crash_and_restart();

    let frames = whole(&server, &run_id);
    let error = only(&frames, "RUN_ERROR");
    assert_eq!(error["error"]["code"], "INTERRUPTED");
    assert_eq!(
        error["error"]["detail"],
        "Run failed: The server stopped while the run was under way."
    );
    assert_eq!(kinds(&frames).last().map(String::as_str), Some("RUN_ERROR"));
}

#[test]
fn an_approval_expires_at_its_time_whatever_happened_in_between() {
    let config = format!("[runs]\ntool_approval_timeout = \"1s\"\n{CONFIG}");
    let server = ServerBuilder::new(&config).start();
    let mut run = numbered(&server, r#"call wipe {"path":"a"}"#);
    run.wait_for("TOOL_APPROVAL_UPDATED");
    let run_id = run.run_id();

    let server = server.crash_and_restart();

    let frames = whole(&server, &run_id);
    let last = frames
        .iter()
        .map(Frame::json)
        .rfind(|event| event["type"] == "TOOL_APPROVAL_UPDATED");
    assert_eq!(last.map(|it| it["state"].clone()), Some("expired".into()));
    assert_eq!(only(&frames, "RUN_ERROR")["error"]["code"], "TIMEOUT");
}

#[test]
fn a_conversation_is_there_after_a_crash() {
    let server = start();
    let body = json!({ "input": "first", "conversationId": "c1" });
    let _ = server
        .post("/api/interactive/run")
        .json(&body)
        .send()
        .expect(400);
    let frames = server
        .post("/api/interactive/run")
        .json(&body)
        .open()
        .finish();
    assert_eq!(text_of(&frames), "Hello world");

    let server = server.crash_and_restart();

    let loaded = server
        .get("/api/interactive/conversations/c1")
        .send()
        .expect(200);
    let items = loaded.json()["items"].as_array().map(Vec::len);
    assert_eq!(items, Some(2));
}

#[test]
fn a_second_server_on_the_same_database_is_refused() {
    let server = start();
    let database = server.folder().join("data/mortise.db");
    let config = format!(
        "[store]\nurl = {:?}\n{CONFIG}",
        format!("sqlite:{}", database.display())
    );

    let second = ServerBuilder::new(&config).fail();

    assert_eq!(second.status.code(), Some(1));
    let pid = server.pid().to_string();
    assert!(
        second.log.contains(&pid) && second.log.contains("mortise.db.lock"),
        "{}",
        second.log
    );
}

#[test]
fn the_key_of_a_json_run_that_a_crash_ended_answers_with_that() {
    let server = plain("").start();
    let ask = |server: &Server| server.run("plain", "slow").header("idempotency-key", "k");
    let first = ask(&server);
    let waiting = std::thread::spawn(move || first.try_send().is_ok());
    let run = eventually(|| {
        let runs = server.get("/api/-/runs").send().expect(200).json();
        runs["runs"].get(0).cloned()
    });
    let under_way = ask(&server).send().expect(409).json();
    assert!(under_way["message"].to_string().contains("under way"));

    let server = server.crash_and_restart();
    assert!(!waiting.join().expect("it was answered or cut off"));

    for _ in 0..2 {
        let interrupted = ask(&server).send().expect(500).json();
        assert_eq!(interrupted["code"], "INTERRUPTED", "{interrupted}");
    }
    let runs = server.get("/api/-/runs").send().expect(200).json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
    assert_eq!(runs["runs"][0]["runId"], run["runId"]);
    assert_eq!(runs["runs"][0]["state"], "failed");
}

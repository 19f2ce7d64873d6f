//! `POST /{agent}/run`, answered with an event stream.

use integration_tests::Frame;
use serde_json::json;

use crate::support::{kinds, only, plain, target, text_of};

#[test]
fn what_a_coded_agent_says_in_pieces_is_one_message() {
    let speaker = "[[plugins.load]]\nname = \"fixture\"\nlibrary = \"fixture_plugin\"\n\
                   config = { speaker = true }";
    let server = plain(speaker).start();

    let script = json!({ "say": ["one", "", ", two"] }).to_string();
    let frames = server.stream("orator", &script).finish();

    let is_text = |frame: &&Frame| frame.kind().starts_with("TEXT_MESSAGE_");
    let said: Vec<_> = frames.iter().filter(is_text).collect();
    let told: Vec<_> = said.iter().map(|frame| frame.kind()).collect();
    assert_eq!(
        told,
        [
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
        ]
    );
    assert_eq!(text_of(&frames), "one, two");
    let id = said[0].json()["messageId"].clone();
    assert!(id.as_str().is_some_and(|id| id.starts_with("msg_")), "{id}");
    for frame in said {
        let frame = frame.json();
        assert_eq!(frame["messageId"], id);
        assert!(frame["timestamp"].as_u64() > Some(0), "{frame}");
    }
}

#[test]
fn a_streamed_text_is_shown_in_order() {
    let server = target("a");

    let stream = server.stream("plain", "hi");
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.header("x-stream-id"), stream.header("x-run-id"));
    let run_id = stream.run_id();
    assert!(run_id.starts_with("run_"), "{run_id}");
    let frames = stream.finish();

    assert_eq!(
        kinds(&frames),
        [
            "RUN_STARTED",
            "STEP_START",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "STEP_FINISH",
            "RUN_FINISHED",
        ]
    );
    assert_eq!(text_of(&frames), "Hello world");
    assert_eq!(frames[0].json()["runId"], run_id);
    assert_eq!(frames[0].json()["runInput"], json!({ "input": "hi" }));
    assert_eq!(
        only(&frames, "STEP_FINISH")["terminationReason"],
        "no_tool_calls"
    );
}

#[test]
fn live_frames_have_no_number() {
    let server = target("a");

    let frames = server.stream("plain", "hi").finish();

    for frame in frames {
        assert_eq!(frame.id, None);
        assert_eq!(frame.json().get("seq"), None, "{frame:?}");
    }
}

#[test]
fn a_tool_call_is_a_step_of_its_own() {
    let server = target("a");

    let frames = server
        .stream("assistant", r#"call add {"a":1,"b":2}"#)
        .finish();

    assert_eq!(
        kinds(&frames),
        [
            "RUN_STARTED",
            "STEP_START",
            "TOOL_CALL_START",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_END",
            "TOOL_CALL_RESULT",
            "STEP_FINISH",
            "STEP_START",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "STEP_FINISH",
            "RUN_FINISHED",
        ]
    );
    let result = only(&frames, "TOOL_CALL_RESULT");
    assert_eq!(result["result"], json!({ "sum": 3 }));
    assert_eq!(result["toolCallName"], "add");
    assert_eq!(result["toolTarget"], "server");
    assert_eq!(result["toolCallId"], "call_1");
}

#[test]
fn two_calls_of_a_step_are_shown_before_either_runs() {
    let server = target("a");

    let frames = server
        .stream(
            "assistant",
            r#"call add {"a":1,"b":2} && add {"a":3,"b":4}"#,
        )
        .finish();

    let results: Vec<_> = frames
        .iter()
        .filter(|it| it.kind() == "TOOL_CALL_RESULT")
        .map(|it| it.json()["result"]["sum"].clone())
        .collect();
    assert_eq!(results, [3, 7]);
    let kinds = kinds(&frames);
    let first_result = kinds.iter().position(|it| it == "TOOL_CALL_RESULT");
    let last_end = kinds.iter().rposition(|it| it == "TOOL_CALL_END");
    assert!(last_end < first_result, "{kinds:?}");
}

#[test]
fn reasoning_comes_before_the_text_of_its_step() {
    let server = target("a");

    let frames = server.stream("plain", "reason").finish();

    let kinds = kinds(&frames);
    let reasoning = kinds.iter().position(|it| it == "REASONING_MESSAGE_END");
    let text = kinds.iter().position(|it| it == "TEXT_MESSAGE_START");
    assert!(reasoning.is_some() && reasoning < text, "{kinds:?}");
    assert_eq!(text_of(&frames), "done");
}

#[test]
fn a_tool_may_emit_parts_of_its_own() {
    let server = target("a");

    let frames = server.stream("assistant", "call emitter").finish();

    assert_eq!(
        only(&frames, "DATA_PART")["data"],
        json!({ "progress": 50 })
    );
}

#[test]
fn a_failure_ends_the_stream_with_an_error_frame() {
    let server = target("a");

    let frames = server.stream("plain", "fail").finish();

    let kinds = kinds(&frames);
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["STEP_ERROR", "RUN_ERROR", "error"]
    );
    assert!(!kinds.contains(&"TEXT_MESSAGE_END".to_owned()), "{kinds:?}");
    let error = only(&frames, "RUN_ERROR")["error"].clone();
    assert_eq!(error["code"], "UPSTREAM_FAILED");
    assert_eq!(error["detail"], "Run failed: Fake upstream failed.");
    assert_eq!(error["status"], 502);
}

#[test]
fn a_run_that_its_model_cannot_do_is_shown_to_have_begun() {
    let server = target("a");
    let body = json!({ "input": "hi", "modalities": ["audio"] });

    let frames = server.post("/api/plain/run").json(&body).open().finish();

    assert_eq!(kinds(&frames), ["RUN_STARTED", "RUN_ERROR", "error"]);
}

#[test]
fn a_silent_stream_says_that_it_is_alive() {
    let server = target("b");

    let mut stream = server
        .post("/plain/run")
        .json(&json!({ "input": "slow" }))
        .open();

    let comment = std::iter::from_fn(|| stream.next_frame()).find(|it| it.comment.is_some());
    assert!(comment.is_some());
}

#[test]
fn an_event_filter_changes_what_is_shown_and_not_what_is_remembered() {
    let server = target("e");
    let body = json!({ "input": "hi", "conversationId": "filtered" });

    let frames = server.post("/plain/run").json(&body).open().finish();
    let stored = server.get("/plain/conversations/filtered").send();

    assert_eq!(text_of(&frames), "HELLO WORLD");
    assert!(!kinds(&frames).contains(&"STEP_START".to_owned()));
    assert!(stored.expect(200).text().contains("Hello world"));
}

//! Coming back to a stream: from the log, then live.

use serde_json::json;

use crate::support::{kinds, only, plain, target, text_of};

#[test]
fn a_finished_run_is_replayed_with_its_numbers() {
    let server = target("a");
    let run = server.stream("plain", "hi");
    let path = format!("/api/plain/stream-events/resume?streamId={}", run.run_id());
    let shown = run.finish();

    let replayed = server.get(&path).open().finish();

    assert_eq!(kinds(&replayed), kinds(&shown));
    for (seq, frame) in replayed.iter().enumerate() {
        assert_eq!(frame.id, Some(seq.to_string()));
        assert_eq!(frame.json()["seq"], seq);
    }
}

#[test]
fn a_replay_begins_behind_the_last_event_that_was_seen() {
    let server = target("a");
    let run = server.stream("plain", "hi");
    let path = format!("/api/plain/stream-events/resume?streamId={}", run.run_id());
    let shown = run.finish();
    let after = |id: &str| {
        server
            .get(&path)
            .header("last-event-id", id)
            .open()
            .finish()
    };

    assert_eq!(kinds(&after("2")), kinds(&shown[3..]));
    assert_eq!(kinds(&after("0")), kinds(&shown[1..]));
    assert_eq!(kinds(&after("-1")), kinds(&shown));
    assert_eq!(kinds(&after("abc")), kinds(&shown));
    assert!(after("999").is_empty());
}

#[test]
fn behind_a_cursor_that_no_event_can_have_there_is_nothing_but_the_end() {
    let server = target("a");
    let ended = server.stream("plain", "hi");
    let ended_id = ended.run_id();
    ended.finish();
    let mut live = server.stream("plain", "slow");
    let live_id = live.run_id();
    live.wait_for("TEXT_MESSAGE_CONTENT");
    let readers: Vec<_> = [&ended_id, &live_id]
        .into_iter()
        .flat_map(|id| CURSORS.map(|cursor| (id, cursor)))
        .map(|(id, cursor)| {
            let path = format!("/api/plain/stream-events/resume?streamId={id}");
            server.get(&path).header("last-event-id", cursor).open()
        })
        .collect();

    for reader in readers {
        let frames = reader.finish();
        assert!(frames.is_empty(), "{frames:?}");
    }
    assert!(kinds(&live.finish()).contains(&"RUN_FINISHED".to_owned()));
}

/// From the largest that the database can count to what is beyond any number.
const CURSORS: [&str; 4] = [
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "1e400",
];

#[test]
fn a_long_text_full_of_what_frames_are_made_of_comes_as_it_was_said() {
    let config = r#"
[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { speaker = true }

[agents.speaker]
model = "fixture/speaker"
"#;
    let server = plain(config).start();
    let text =
        "data: {\"a\":1}\r\n\r\nevent: error\n\u{2028}\u{2029}\u{85}\\\"é😀\t\0\r".repeat(8000);
    assert!(text.len() > 300_000);
    let script = json!({ "say": [text] }).to_string();

    let run = server.stream("speaker", &script);
    let path = format!(
        "/api/speaker/stream-events/resume?streamId={}",
        run.run_id()
    );
    let shown = run.finish();
    let replayed = server.get(&path).open().finish();

    for frames in [&shown, &replayed] {
        assert!(only(frames, "TEXT_MESSAGE_CONTENT")["delta"] == *text);
        let result = &only(frames, "RUN_FINISHED")["result"];
        let said = &result["response"]["output"][0]["content"][0]["text"];
        assert!(*said == *text, "the result has the whole text");
    }
}

#[test]
fn a_second_reader_follows_a_running_stream_without_gap_and_without_duplicate() {
    let server = target("a");
    let mut run = server.stream("plain", "slow");
    let path = format!("/api/plain/stream-events/resume?streamId={}", run.run_id());
    run.wait_for("TEXT_MESSAGE_CONTENT");

    let followed = server.get(&path).open().finish();

    let numbers: Vec<_> = followed.iter().map(|it| it.id.clone()).collect();
    let expected: Vec<_> = (0..followed.len()).map(|it| Some(it.to_string())).collect();
    assert_eq!(numbers, expected);
    assert_eq!(text_of(&followed), text_of(&run.finish()));
}

#[test]
fn the_failed_run_of_a_replay_has_no_error_frame() {
    let server = target("a");
    let run = server.stream("plain", "fail");
    let path = format!("/api/plain/stream-events/resume?streamId={}", run.run_id());
    run.finish();

    let replayed = server.get(&path).open().finish();

    assert_eq!(
        kinds(&replayed).last().map(String::as_str),
        Some("RUN_ERROR")
    );
}

#[test]
fn the_active_run_of_a_conversation_is_found_until_it_ends() {
    let server = target("a");
    let body = json!({ "input": "slow", "conversationId": "live" });
    let mut run = server.post("/api/plain/run").json(&body).open();
    run.wait_for("TEXT_MESSAGE_CONTENT");

    let followed = server.get("/api/plain/conversations/live/resume").open();
    assert_eq!(text_of(&followed.finish()), text_of(&run.finish()));

    let _ = server
        .get("/api/plain/conversations/live/resume")
        .send()
        .expect(204);
}

#[test]
fn a_client_that_hangs_up_may_come_back_where_runs_continue() {
    let server = target("c");
    let body = json!({ "input": "slow", "conversationId": "back" });
    let mut run = server.post("/api/plain/run").json(&body).open();
    run.wait_for("TEXT_MESSAGE_CONTENT");
    drop(run);

    let followed = server.get("/api/plain/conversations/back/resume").open();
    let frames = followed.finish();

    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
}

#[test]
fn unknown_streams_are_empty_and_nothing_is_resumed_without_a_store() {
    let with_store = target("a");
    let without = target("b");

    let unknown = with_store.get("/api/plain/stream-events/resume?streamId=nope");
    assert!(unknown.open().finish().is_empty());
    let _ = with_store
        .get("/api/plain/stream-events/resume")
        .send()
        .expect(422);
    let blank = with_store.get("/api/plain/stream-events/resume?streamId=%20");
    let blank = blank.send().expect(422).json();
    assert_eq!(blank["message"], "streamId must be a non-empty string.");
    assert_eq!(blank["context"]["streamId"], " ");
    let _ = with_store
        .get("/api/ghost/conversations/x/resume")
        .send()
        .expect(404);
    let _ = without
        .get("/plain/stream-events/resume?streamId=nope")
        .send()
        .expect(204);
}

//! Coming back to a stream: from the log, then live.

use serde_json::json;

use crate::support::{kinds, target, text_of};

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

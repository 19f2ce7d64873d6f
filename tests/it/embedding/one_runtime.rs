//! Whatever way a run was started: it is answered, aborted and resumed by any other.

use integration_tests::{Frame, Request, SseReader};
use mortise_host::{App, Decision, Event, Principal, RunEvents, RunOptions, RunStream};
use serde_json::json;
use tokio::task::{JoinSet, spawn_blocking};

use super::{answer, app, get, post, started};

const SECTIONS: &str = r#"
[server]
port = 0
base_path = "/api"

[tools.confirm]
client = true
description = "Asks"
schema = { type = "object" }

[tools.gate]
client = true
approval = { required = true }
description = "Asks twice"
schema = { type = "object" }

[agents.plain]
model = "scripted/fake-1"

[agents.interactive]
model = "scripted/fake-1"
tools = ["confirm", "gate"]

[agents.hidden]
model = "scripted/fake-1"
exposed = false
"#;

/// The events up to the first of this type, that one last.
async fn until(events: &mut RunEvents, kind: &str) -> Event {
    while let Some(event) = events.next().await {
        let event = event.expect("the events can be read").event;
        if event.kind() == kind {
            return event;
        }
    }
    panic!("the run has ended without {kind}");
}

/// The type of the last event.
async fn last(mut events: RunEvents) -> String {
    let mut last = String::new();
    while let Some(event) = events.next().await {
        let event = event.expect("the events can be read");
        event.event.kind().clone_into(&mut last);
    }
    last
}

/// Opens a stream over a real connection, reads its head, and says what run it is.
async fn over_http(request: Request) -> (String, SseReader) {
    let opened = spawn_blocking(move || request.open()).await;
    let mut reader = opened.expect("the stream opens");
    let run_id = reader.run_id();
    let started = spawn_blocking(move || {
        let _ = reader.wait_for("STEP_START");
        reader
    });
    (run_id, started.await.expect("the run begins"))
}

async fn kinds(reader: SseReader) -> Vec<String> {
    let frames = spawn_blocking(move || reader.finish()).await;
    let frames = frames.expect("the stream ends");
    frames.iter().map(Frame::kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_http_is_aborted_answered_and_resumed_in_process() {
    let built = app(SECTIONS).build().await.expect("it can be built");
    let server = built.listen().await.expect("it listens");
    let (address, app) = (server.address(), server.app());
    let mut serving = JoinSet::new();
    serving.spawn(server.serve());
    let run = |agent: &str, prompt: &str| {
        Request::new(address, "POST", &format!("/api/{agent}/run"))
            .json(&json!({ "input": prompt }))
    };

    let (run_id, reader) = over_http(run("plain", "slow")).await;
    let resumed = app.resume_stream(&run_id, None).await;
    let resumed = resumed.expect("the store answers").expect("it is known");
    assert_eq!(app.abort_run(&run_id).await, Ok(true));
    assert!(kinds(reader).await.contains(&"RUN_ABORTED".to_owned()));
    assert_eq!(last(resumed).await, "RUN_ABORTED");

    let (run_id, reader) = over_http(run("interactive", "call confirm {}")).await;
    let mut events = app
        .resume_stream(&run_id, None)
        .await
        .expect("the store answers")
        .expect("it is known");
    until(&mut events, "TOOL_CALL_END").await;
    let submit = || app.submit_tool_result(&run_id, "call_1", Ok(json!("yes")));
    assert_eq!(submit().await, Ok(true));
    assert_eq!(submit().await, Ok(false));
    assert!(kinds(reader).await.contains(&"RUN_FINISHED".to_owned()));

    app.stop().await;
    let ended = serving.join_next().await.expect("it was spawned");
    ended.expect("the server returns when the app ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_process_is_aborted_and_decided_over_http() {
    let app = started(SECTIONS).await;

    let RunStream {
        run_id,
        mut events,
        result,
        ..
    } = app.stream("plain", "slow").await.expect("it starts");
    until(&mut events, "TEXT_MESSAGE_CONTENT").await;
    let aborted = answer(
        &app,
        post(&format!("/api/plain/runs/{run_id}/abort"), &json!({})),
    );
    assert_eq!(aborted.await, (204, json!(null)));
    assert_eq!(result.await.unwrap_err().code(), Some("ABORTED"));

    let RunStream {
        run_id,
        mut events,
        result,
        ..
    } = app
        .stream("interactive", "call gate {}")
        .await
        .expect("it starts");
    until(&mut events, "TOOL_APPROVAL_REQUIRED").await;
    let denied = json!({ "runId": run_id, "toolCallId": "call_1", "decision": "denied" });
    let decide = || answer(&app, post("/api/interactive/run/tool-approval", &denied));
    assert_eq!(decide().await.0, 204);
    assert_eq!(decide().await.0, 404);
    let response = result.await.expect("the run ends well").response;
    assert!(response.text_content().contains("denied"));

    let RunStream {
        run_id,
        mut events,
        result,
        ..
    } = app
        .stream("interactive", "call confirm {}")
        .await
        .expect("it starts");
    until(&mut events, "TOOL_CALL_END").await;
    let submitted = json!({
        "runId": run_id, "toolCallId": "call_1", "status": "success", "result": 7,
    });
    let submit = || answer(&app, post("/api/interactive/run/tool-result", &submitted));
    assert_eq!(submit().await.0, 204);
    assert_eq!(submit().await.0, 404);
    let response = result.await.expect("the run ends well").response;
    assert_eq!(response.text_content(), "Tool said: 7");

    app.stop().await;
}

#[tokio::test]
async fn a_principal_finds_its_own_and_the_program_finds_everything() {
    let app = started(SECTIONS).await;
    let (ann, bob) = (
        app.as_principal(Principal::new("ann")),
        app.as_principal(Principal::new("bob")),
    );
    let options = RunOptions::new("call gate {}").with_conversation("c");
    let stream = ann.stream("interactive", options).await.expect("it starts");
    let run_id = stream.run_id;
    let mut events = stream.events;
    until(&mut events, "TOOL_APPROVAL_REQUIRED").await;

    let decide = |app: &App| {
        let app = app.clone();
        let run_id = run_id.clone();
        async move {
            let denied = Decision::denied();
            app.submit_tool_approval(&run_id, "call_1", denied).await
        }
    };
    assert_eq!(decide(&bob).await, Ok(false));
    assert_eq!(bob.abort_run(&run_id).await, Ok(false));
    let of_bob = bob.resume_stream(&run_id, None).await;
    assert!(of_bob.expect("the store answers").is_none());
    let of_bob = bob.resume_conversation("interactive", "c", None).await;
    assert!(of_bob.expect("it is an agent").is_none());

    let of_ann = ann.resume_conversation("interactive", "c", None).await;
    assert!(of_ann.expect("it is an agent").is_some());
    assert_eq!(decide(&app).await, Ok(true));
    assert_eq!(last(events).await, "RUN_FINISHED");
    assert!(stream.result.await.is_ok());

    assert!(app.run("hidden", "hi").await.is_ok());
    let hidden = ann.run("hidden", "hi").await.unwrap_err();
    assert_eq!(hidden.code(), Some("NOT_FOUND"));

    app.stop().await;
}

#[tokio::test]
async fn conversations_are_those_of_requests_that_carry_the_secret_alone() {
    let named = "secret = \"s3cret\"\nprincipal = { tenant = \"acme\", subject = \"ops\" }";
    for (secret, sent, subject) in [
        ("", None, "anonymous"),
        ("secret = \"s3cret\"", Some("Bearer s3cret"), "operator"),
        (named, Some("Bearer s3cret"), "ops"),
    ] {
        let sections = SECTIONS.replace("port = 0", secret);
        let app = started(&sections).await;
        assert_eq!(app.principal().subject, subject);
        let options = RunOptions::new("hi").with_conversation("c");
        app.run("plain", options).await.expect("it runs");

        let mut request = get("/api/plain/conversations/c");
        if let Some(sent) = sent {
            let sent = http::HeaderValue::from_static(sent);
            request.headers_mut().insert("authorization", sent);
        }
        let (status, body) = answer(&app, request).await;
        assert_eq!(
            (status, body["items"].as_array().map(Vec::len)),
            (200, Some(2))
        );

        let nothing = app.load_conversation("plain", "other").await;
        assert_eq!(nothing, Ok(None));
        app.stop().await;
    }
}

#[tokio::test]
async fn without_stores_there_is_nothing_to_come_back_to() {
    let app = started(&format!("{SECTIONS}\n[store]\nurl = \"none\"\n")).await;
    let options = RunOptions::new("hi").with_conversation("c");
    let stream = app.stream("plain", options).await.expect("it starts");

    let by_id = app.resume_stream(&stream.run_id, None).await;
    assert!(by_id.expect("the store answers").is_none());
    let by_conversation = app.resume_conversation("plain", "c", None).await;
    assert!(by_conversation.expect("it is an agent").is_none());
    assert_eq!(last(stream.events).await, "RUN_FINISHED");
    assert!(stream.result.await.is_ok());
    assert_eq!(app.load_conversation("plain", "c").await, Ok(None));

    app.stop().await;
}

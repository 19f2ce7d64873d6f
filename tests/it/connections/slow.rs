//! Clients that are slow on purpose: every wait for them has an end.

use std::time::Duration;

use integration_tests::{Raw, Server, Stopwatch};
use serde_json::json;

use super::{builder, post, server, statuses};
use crate::support::{SCRIPTED, SOON, eventually, kinds};

const SHORT: &str = r#"
header_timeout = "400ms"
body_timeout = "400ms"
write_timeout = "400ms"
idle_timeout = "400ms"
"#;

#[test]
fn a_connection_that_sends_nothing_is_closed() {
    let server = server(SHORT);
    let started = Stopwatch::start();
    Raw::connect(server.address()).rest();
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(400), "early: {waited:?}");
    assert!(waited < SOON, "late: {waited:?}");
}

#[test]
fn half_a_head_is_not_waited_for_and_others_are_answered_meanwhile() {
    let server = server(SHORT);
    let mut slow: Vec<_> = (0..50)
        .map(|_| {
            Raw::sending(
                server.address(),
                "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-a: ",
            )
        })
        .collect();
    let _ = server.get("/livez").send().expect(200);
    let started = Stopwatch::start();
    for raw in &mut slow {
        raw.rest();
    }
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_head_that_is_finished_while_its_connection_ends_is_answered_and_the_last() {
    let server = builder(SHORT).start();
    let run = post("/api/plain/run", "", "{\"input\":\"slow\"}");
    let (head, body) = run.split_once("\r\n\r\n").expect("there is a head");
    let mut raw = Raw::sending(server.address(), format!("{head}\r\nx-a: "));
    // Longer than a head may take, and shorter than the time of a goodbye after it.
    raw.drip(&[b'x'; 16], Duration::from_millis(50));
    let next = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    raw.send(format!("\r\n\r\n{body}{next}"));
    let answered = raw.rest();
    assert_eq!(statuses(&answered), [200], "{answered}");
    assert!(answered.contains("\"text\""), "{answered}");
}

#[test]
fn a_head_byte_by_byte_is_cut() {
    let server = server(SHORT);
    let mut raw = Raw::sending(
        server.address(),
        "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-a: ",
    );
    let sent = raw.drip(&[b'x'; 400], Duration::from_millis(25));
    assert!(sent < 100, "{sent} bytes were taken");
}

#[test]
fn between_requests_a_connection_may_idle_for_its_own_time() {
    let asked = |idle: &str| {
        let server = server(&format!(
            "header_timeout = \"300ms\"\nidle_timeout = \"{idle}\""
        ));
        let started = Stopwatch::start();
        let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut raw = Raw::sending(server.address(), request);
        raw.until("{\"status\":\"ok\"}");
        (server, raw, started)
    };
    let (_server, mut raw, started) = asked("1500ms");
    raw.rest();
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(1500), "early: {waited:?}");

    // The second head has the time of a head.
    let (_server, mut raw, _) = asked("1h");
    raw.send("GET /livez HTTP/1.1\r\n");
    raw.rest();
}

#[test]
fn a_body_that_does_not_end_gets_408() {
    let server = server(SHORT);
    for body in ["", "{\"input\":"] {
        let head = post("/api/plain/run", "", "").replace("length: 0", "length: 100");
        let mut raw = Raw::sending(server.address(), head + body);
        assert_eq!(statuses(&raw.rest()), [408], "{body:?}");
    }
}

#[test]
fn a_body_byte_by_byte_is_cut() {
    let server = server(SHORT);
    let head = post("/api/plain/run", "", "").replace("length: 0", "length: 1000");
    let mut raw = Raw::sending(server.address(), head);
    let sent = raw.drip(&[b'x'; 400], Duration::from_millis(25));
    assert!(sent < 100, "{sent} bytes were taken");
}

#[test]
fn an_answer_that_nobody_reads_is_given_up() {
    let server = builder(&format!("{SHORT}body_limit = \"8 MiB\""))
        .variable("MORTISE_LOG", "debug")
        .start();
    let text = "x".repeat(4 << 20);
    let body = json!({ "input": format!("json \"{text}\"") }).to_string();
    let mut raw = Raw::connect_narrow(server.address());
    raw.send(post("/api/plain/run", "", &body));
    let log = server.wait_for_log("the connection broke");
    assert!(log.contains("timed out"), "{log}");
    // What was on its way is there, and then the connection is not.
    assert!(raw.rest().len() < body.len());
}

#[test]
fn a_stream_that_is_merely_silent_is_left_alone() {
    let config = format!(
        "[server]\n{SHORT}\n[runs]\nclient_tool_result_timeout = \"2s\"\nsse_heartbeat = \"60s\"\n\
         [tools.confirm]\nclient = true\n[agents.asking]\nmodel = \"scripted/fake-1\"\n\
         tools = [\"confirm\"]\n{SCRIPTED}"
    );
    let server = integration_tests::ServerBuilder::new(&config).start();
    let stream = server.stream("asking", "call confirm {}");
    let frames = stream.finish();
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
}

/// A streamed run of three seconds whose client stops reading.
fn stalled(server: &Server) -> (Raw, String) {
    let mut raw = Raw::connect_narrow(server.address());
    raw.send(post(
        "/api/plain/run",
        "accept: text/event-stream\r\n",
        "{\"input\":\"slow\"}",
    ));
    let head = raw.until("\r\n\r\n");
    let run = head.split("x-run-id: ").nth(1).expect("a stream has a run");
    let run = run.split("\r\n").next().unwrap_or_default().to_owned();
    (raw, run)
}

#[test]
fn a_run_that_is_kept_goes_on_when_its_stalled_client_is_cut() {
    let server = builder(SHORT).variable("MORTISE_LOG", "debug").start();
    let (_raw, run) = stalled(&server);

    server.wait_for_log("the connection broke");
    let resumed = server.get(&format!("/api/plain/stream-events/resume?streamId={run}"));
    let frames = resumed.open().finish();

    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
}

#[test]
fn a_run_that_is_not_kept_ends_with_its_stalled_client() {
    let server = server(&format!("{SHORT}\n[store]\nurl = \"none\""));
    let (_raw, _) = stalled(&server);

    eventually(|| {
        let probe = server.get("/api/probe").send().expect(200).json();
        assert_eq!(probe["finished"], 0, "{probe}");
        (probe["aborted"] == 1).then_some(())
    });
}

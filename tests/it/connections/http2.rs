//! HTTP/2 as it should not be.

use std::time::Duration;

use integration_tests::{
    Http2, MetricsPage, Raw, Stopwatch,
    http2::{END_HEADERS, END_STREAM, head, kind},
};
use serde_json::Value;

use super::server;
use crate::support::{SOON, eventually, kinds};

/// `ENHANCE_YOUR_CALM`, `REFUSED_STREAM` and `CANCEL` of RFC 9113.
const CALM: u32 = 11;
const REFUSED: u32 = 7;
const CANCEL: u32 = 8;

const INITIAL_WINDOW: u16 = 4;

#[test]
fn an_authority_and_a_host_are_the_same() {
    let server = server("");
    let mut http2 = Http2::connect(server.address());
    for (stream, host, is_valid) in [
        (1, "localhost", true),
        (3, "LOCALHOST", true),
        (5, "b", false),
    ] {
        let asked = head("GET", "/livez", &[("host", host)]);
        http2.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &asked);
        assert_eq!(http2.next_of(kind::HEADERS).is_ok(), is_valid, "{host}");
    }
}

#[test]
fn the_same_limits_hold_for_heads() {
    let server = server("");
    let mut http2 = Http2::connect(server.address());
    let ask = |http2: &mut Http2<_>, stream, path: &str, count: usize| {
        let headers = vec![("x", "1"); count];
        let asked = head("GET", path, &headers);
        http2.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &asked);
        let answer = http2.next_of(kind::HEADERS);
        if answer.is_ok() {
            return String::new();
        }
        let body = http2.next_of(kind::DATA).payload;
        let body: Value = serde_json::from_slice(&body).expect("an error is JSON");
        body["code"].as_str().unwrap_or_default().to_owned()
    };
    let long = format!("/{}", "x".repeat(8 << 10));
    assert_eq!(ask(&mut http2, 1, "/livez", 100), "");
    assert_eq!(ask(&mut http2, 3, "/livez", 101), "HEADERS_TOO_LARGE");
    assert_eq!(ask(&mut http2, 5, &long, 0), "URI_TOO_LONG");
}

/// A head that is small on the wire and large once it is read.
#[test]
fn a_head_that_inflates_is_bounded() {
    let server = server("");
    let mut http2 = Http2::connect(server.address());
    let mut bomb = head("GET", "/livez", &[]);
    // One entry of the dynamic table, then references to it of a byte each.
    bomb.extend([0x40, 1, b'x', 127, 0xa1, 30]);
    bomb.extend([b'x'; 127 + 33 + (30 << 7)]);
    bomb.extend([0xbe; 8000]);
    http2.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    assert_eq!(http2.goodbye(), Some(CALM));
    let _ = server.get("/livez").send().expect(200);
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection_and_leave_no_run() {
    let server = server("[admin]\nlisten = \"127.0.0.1:0\"");
    let admin = server.next_address();
    let mut http2 = Http2::connect(server.address());
    for number in 0..500 {
        let stream = 1 + 2 * number;
        let asked = http2.ask(stream, 0, "POST", "/api/plain/run")
            && http2.send(kind::DATA, END_STREAM, stream, b"{\"input\":\"slow\"}")
            && http2.send(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
        if !asked {
            break;
        }
    }
    // Where the server is quick its goodbye may be lost behind what it did not read.
    assert!(matches!(http2.goodbye(), Some(CALM) | None));
    // The probe tells of all of them once no request and no run can begin another call.
    eventually(|| {
        let page = MetricsPage::ask(admin).expect(200);
        let over = [
            "mortise_http_requests_in_progress 0",
            "mortise_runs_running{agent=\"plain\"} 0",
        ];
        let is_there = |line: &&str| page.text().lines().any(|it| it == *line);
        over.iter().all(is_there).then_some(())
    });
    eventually(|| {
        let probe = server.get("/api/probe").send().expect(200).json();
        assert_eq!(probe["finished"], 0, "{probe}");
        let started = probe["started"].as_u64();
        assert!(started.is_some_and(|it| it < 500), "{probe}");
        (probe["started"] == probe["aborted"]).then_some(())
    });
}

#[test]
fn streams_that_the_server_has_to_reset_end_the_connection() {
    let server = server("");
    let mut http2 = Http2::connect(server.address());
    for number in 0..2000 {
        let stream = 1 + 2 * number;
        // A window that grows too large is an error of its stream alone.
        let asked = http2.ask(stream, 0, "POST", "/api/plain/run")
            && http2.send(
                kind::WINDOW_UPDATE,
                0,
                stream,
                &(u32::MAX >> 1).to_be_bytes(),
            );
        if !asked {
            break;
        }
    }
    assert!(matches!(http2.goodbye(), Some(CALM) | None));
    let _ = server.get("/livez").send().expect(200);
}

#[test]
fn a_head_without_end_is_cut() {
    let server = server("");
    let mut http2 = Http2::connect(server.address());
    http2.send(kind::HEADERS, END_STREAM, 1, &head("GET", "/livez", &[]));
    let mut more = vec![0, 1, b'x', 100];
    more.extend([b'x'; 100]);
    let sent = (0..100_000).take_while(|_| http2.send(kind::CONTINUATION, 0, 1, &more));
    let sent = sent.count();
    assert!(sent < 100_000, "all were taken");
    http2.goodbye();
    let _ = server.get("/livez").send().expect(200);
}

#[test]
fn who_only_floods_is_cut_with_the_time_of_a_head() {
    let server = server("header_timeout = \"400ms\"");
    let empty_settings = (kind::SETTINGS, vec![]);
    for (kind, payload) in [(kind::PING, vec![0; 8]), empty_settings] {
        let mut http2 = Http2::connect(server.address());
        let started = Stopwatch::start();
        // Never reads what it is answered.
        while http2.send(kind, 0, 0, &payload) {
            assert!(started.elapsed() < SOON, "{kind} goes on");
        }
        let _ = server.get("/livez").send().expect(200);
    }
}

#[test]
fn so_many_streams_and_no_more() {
    let server = server("");
    let mut http2 = Http2::connect(server.address());
    for number in 0..101 {
        http2.ask(1 + 2 * number, 0, "POST", "/api/plain/run");
    }
    let refused = http2.next_of(kind::RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (201, REFUSED));
    let _ = server.get("/livez").send().expect(200);
}

/// Over HTTP/2, a stream may stall while its connection goes on.
#[test]
fn a_stream_that_nobody_takes_is_reset_and_its_run_goes_on() {
    let server = server("write_timeout = \"400ms\"");
    let socket = Raw::connect(server.address()).into_inner();
    let mut http2 = Http2::over(socket, &[(INITIAL_WINDOW, 200)]);
    let asked = head(
        "POST",
        "/api/plain/run",
        &[
            ("content-type", "application/json"),
            ("accept", "text/event-stream"),
            ("x-request-id", "stalled"),
        ],
    );
    http2.send(kind::HEADERS, END_HEADERS, 1, &asked);
    http2.send(kind::DATA, END_STREAM, 1, b"{\"input\":\"slow\"}");
    assert!(http2.next_of(kind::HEADERS).is_ok());
    let mut shown = String::new();
    while shown.len() < 200 {
        shown.push_str(&String::from_utf8_lossy(&http2.next_of(kind::DATA).payload));
    }
    let run = shown
        .split("\"runId\":\"")
        .nth(1)
        .expect("the first event names its run");
    let run = run.split('"').next().unwrap_or_default();

    let reset = http2.next_of(kind::RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, CANCEL));
    http2.send(kind::PING, 0, 0, &[7; 8]);
    assert_eq!(http2.next_of(kind::PING).payload, [7; 8]);
    let resumed = server.get(&format!("/api/plain/stream-events/resume?streamId={run}"));
    let frames = resumed.open().finish();
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
}

#[test]
fn an_idle_connection_is_closed_with_a_goodbye() {
    let server = server("idle_timeout = \"400ms\"");
    let mut http2 = Http2::connect(server.address());
    let started = Stopwatch::start();
    http2.ask(1, END_STREAM, "GET", "/livez");
    assert!(http2.next_of(kind::HEADERS).is_ok());
    assert_eq!(http2.goodbye(), Some(0));
    assert!(started.elapsed() >= Duration::from_millis(400));
}

//! More connections than there may be.

use integration_tests::{Raw, Server, SseReader};

use super::server;

/// Streams that are at work.
fn at_work(server: &Server, count: usize) -> Vec<SseReader> {
    let open = |_| {
        let mut stream = server.stream("plain", "slow");
        stream.wait_for("TEXT_MESSAGE_CONTENT");
        stream
    };
    (0..count).map(open).collect()
}

#[test]
fn those_that_ask_nothing_make_room() {
    let server = server("max_connections = 8");
    let mut silent: Vec<_> = (0..50).map(|_| Raw::connect(server.address())).collect();
    for _ in 0..20 {
        let _ = server.run("plain", "hi").send().expect(200);
    }
    // The first ones went long before their time.
    for raw in &mut silent[..40] {
        assert_eq!(raw.rest(), "");
    }
}

#[test]
fn where_all_are_at_work_probes_are_answered_and_others_are_told() {
    let server = server("max_connections = 3");
    let streams = at_work(&server, 3);

    for _ in 0..100 {
        let _ = server.get("/livez").send().expect(200);
    }
    let refused = server.run("plain", "hi").send().expect(503);

    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["code"], "UNAVAILABLE");
    for stream in streams {
        assert!(stream.finish().iter().any(|it| it.kind() == "RUN_FINISHED"));
    }
    let _ = server.run("plain", "hi").send().expect(200);
}

#[test]
fn a_connection_too_many_gets_one_answer() {
    let server = server("max_connections = 1");
    let _streams = at_work(&server, 1);
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut raw = Raw::sending(server.address(), request);
    assert!(raw.rest().ends_with("{\"status\":\"ok\"}"));
}

#[test]
fn one_address_may_not_have_all() {
    let server = server("max_connections_per_address = 2");
    let streams = at_work(&server, 2);

    let _ = server.run("plain", "hi").send().expect(503);
    let _ = server.get("/livez").send().expect(200);
    drop(streams);
}

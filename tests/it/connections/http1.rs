//! HTTP/1.1 as it should not be, and what its limits are.

use std::fmt::Write as _;

use integration_tests::Raw;

use super::{builder, post, server, statuses};

#[test]
fn heads_have_limits() {
    let server = server("");
    let head = |target: &str, headers: &str| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        );
        statuses(&Raw::sending(server.address(), request).rest())
    };
    let mut many = String::new();
    for number in 0..98 {
        let _ = write!(many, "x-{number}: 1\r\n");
    }
    assert_eq!(head("/livez", &many), [200]);
    many.push_str("x: 1\r\n");
    assert_eq!(head("/livez", &many), [431]);
    for size in [40 << 10, 400 << 10] {
        let large = format!("x: {}\r\n", "x".repeat(size));
        assert_eq!(head("/livez", &large), [431], "{size}");
    }
    let long = format!("/livez?{}", "x".repeat((8 << 10) - 7));
    assert_eq!(head(&long, ""), [200]);
    assert_eq!(head(&format!("{long}x"), ""), [414]);
    assert_eq!(head(&format!("/{}", "x".repeat(70 << 10)), ""), [431]);
}

#[test]
fn a_refused_head_says_why() {
    let server = server("");
    let reply = server.get(&format!("/{}", "x".repeat(9000))).send();
    let reply = reply.expect(414);
    assert_eq!(reply.json()["code"], "URI_TOO_LONG");
    assert!(reply.header("x-request-id").is_some());
    let reply = server
        .get("/livez")
        .header("x", &"x".repeat(33 << 10))
        .send();
    assert_eq!(reply.expect(431).json()["code"], "HEADERS_TOO_LARGE");
}

/// Requests that another server in front may read in another way.
#[test]
fn what_is_ambiguous_is_refused_and_closed() {
    let server = server("");
    let marker = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let run = "POST /api/plain/run HTTP/1.1\r\nhost: localhost\r\n";
    let cases = [
        format!("{run}content-length: 5\r\ncontent-length: 6\r\n\r\n12345"),
        format!("{run}content-length: +5\r\n\r\n12345"),
        format!("{run}content-length: -5\r\n\r\n12345"),
        format!("{run}content-length: 5, 6\r\n\r\n12345"),
        format!("{run}content-length: 0x5\r\n\r\n12345"),
        format!("{run}content-length: 5 5\r\n\r\n12345"),
        format!("{run}content-length: 99999999999999999999\r\n\r\n12345"),
        format!("{run}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{run}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{run}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{run}transfer-encoding: identity\r\n\r\n"),
        format!("{run}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
        format!("{run}transfer-encoding: chunked\r\n\r\n0x5\r\n12345\r\n0\r\n\r\n"),
        format!("{run}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n"),
        format!("{run}transfer-encoding: chunked\r\n\r\n5\n12345\n0\n\n"),
        format!("{run}x: a\r\n b\r\n\r\n"),
        format!("{run}x: a\0b\r\n\r\n"),
        format!("{run}x: a\rb\r\n\r\n"),
        format!("{run}x y: a\r\n\r\n"),
        format!("{run}: a\r\n\r\n"),
        "POST /api/plain/run HTTP/1.2\r\nhost: localhost\r\n\r\n".to_owned(),
        "POST /api/plain/run\r\n\r\n".to_owned(),
        "POST  /api/plain/run HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "PO ST /api/plain/run HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
    ];
    for case in cases {
        let answered = Raw::sending(server.address(), format!("{case}{marker}")).rest();
        assert_eq!(statuses(&answered), [400], "{case:?}: {answered:?}");
    }
}

#[test]
fn where_both_lengths_are_given_the_chunks_count_and_nothing_follows() {
    let server = server("");
    let request = "POST /api/plain/run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                   content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
                   e\r\n{\"input\":\"hi\"}\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answered = Raw::sending(server.address(), request).rest();
    assert_eq!(statuses(&answered), [200], "{answered}");
}

#[test]
fn line_ends_are_read_leniently() {
    let server = server("");
    // Both are allowed. A proxy in front that is stricter refuses them before.
    for request in [
        "\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET /livez HTTP/1.1\nhost: a\nconnection: close\n\n",
    ] {
        let answered = Raw::sending(server.address(), request).rest();
        assert_eq!(statuses(&answered), [200], "{request:?}");
    }
}

#[test]
fn there_is_one_host() {
    let server = server("");
    for (request, expected) in [
        ("GET /livez HTTP/1.1\r\n", 400),
        (
            "GET /livez HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n",
            400,
        ),
        ("GET /livez HTTP/1.1\r\nhost: a/b\r\n", 400),
        ("GET http://a/livez HTTP/1.1\r\nhost: b\r\n", 400),
        (
            "GET http://localhost/livez HTTP/1.1\r\nhost: localhost\r\n",
            200,
        ),
        ("GET /livez HTTP/1.0\r\n", 200),
    ] {
        let bytes = format!("{request}connection: close\r\n\r\n");
        let answered = Raw::sending(server.address(), bytes).rest();
        let status: u16 = answered[9..12].parse().expect("a status");
        assert_eq!(status, expected, "{request:?}");
    }
}

#[test]
fn the_limit_of_a_body_is_exact_however_it_is_sent() {
    let server = server("body_limit = \"64 B\"");
    let body = |size: usize| format!("{{\"input\":\"{}\"}}", "x".repeat(size - 12));
    let status = |request: String| statuses(&Raw::sending(server.address(), request).rest());
    let closing = "connection: close\r\n";
    let chunked = |body: &str| {
        format!(
            "POST /api/plain/run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             {closing}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    assert_eq!(status(post("/api/plain/run", closing, &body(64))), [200]);
    assert_eq!(status(post("/api/plain/run", closing, &body(65))), [413]);
    assert_eq!(status(chunked(&body(64))), [200]);
    assert_eq!(status(chunked(&body(65))), [413]);
    // Refused by its announcement: none of it is sent.
    let announced = post("/api/plain/run", "", "").replace("length: 0", "length: 104857600");
    assert_eq!(status(announced), [413]);
}

#[test]
fn what_is_left_of_a_refused_body_is_never_a_request() {
    let server = builder("secret = \"s3cret\"").start();
    let marker = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let large = format!("{}{marker}", "x".repeat(200_000));
    for body in [marker, &large] {
        let mut raw = Raw::sending(server.address(), post("/api/plain/run", "", body));
        // Where the body was drained, the connection goes on with the next request.
        raw.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answered = raw.rest();
        assert_eq!(statuses(&answered)[0], 401);
        assert!(statuses(&answered).len() <= 2, "{answered}");
    }
}

#[test]
fn a_refused_client_is_not_asked_for_its_body() {
    let server = builder("secret = \"s3cret\"").start();
    let expecting = post("/api/plain/run", "expect: 100-continue\r\n", "");
    let expecting = expecting.replace("length: 0", "length: 1000000");
    let answered = Raw::sending(server.address(), expecting).rest();
    assert_eq!(statuses(&answered), [401], "{answered}");
}

#[test]
fn an_upgrade_is_not_taken() {
    let server = server("");
    for upgrade in ["h2c", "websocket"] {
        let request = format!(
            "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, http2-settings\r\n\
             upgrade: {upgrade}\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n\
             GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        );
        let answered = Raw::sending(server.address(), request).rest();
        assert_eq!(statuses(&answered), [200, 200], "{answered}");
    }
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let server = server("");
    let mut requests = String::new();
    for number in 0..1000 {
        let _ = write!(
            requests,
            "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-request-id: {number}\r\n\r\n"
        );
    }
    requests.push_str("GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answered = Raw::sending(server.address(), requests).rest();
    let ids = answered.split("x-request-id: ").skip(1).take(1000);
    let ids: Vec<_> = ids.filter_map(|it| it.split("\r\n").next()).collect();
    let expected: Vec<_> = (0..1000).map(|it| it.to_string()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn bodies_that_are_no_json_are_told_so() {
    let server = server("body_limit = \"4 MiB\"");
    let deep = "[".repeat(1_000_000);
    // A bomb of 100 bytes: content-encoding is not looked at, so nothing is inflated.
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].as_slice();
    for body in [
        b"\xff\xfe{\0}\0".as_slice(),
        b"\xef\xbb\xbf{\"input\":\"hi\"}",
        b"{\"input\":\"\xff\"}",
        b"{\"input\":\"\\ud800\"}",
        b"{\"input\":NaN}",
        b"{\"input\":1e999}",
        deep.as_bytes(),
        bomb,
    ] {
        let reply = server
            .post("/api/plain/run")
            .header("content-type", "application/json")
            .header("content-encoding", "gzip")
            .body(body)
            .send();
        let reply = reply.expect(422);
        assert_eq!(reply.json()["code"], "VALIDATION_FAILED");
    }
}

#[test]
fn headers_of_ranges_and_conditions_are_not_looked_at() {
    let server = server("");
    let reply = server
        .get("/livez")
        .header("range", "bytes=0-1")
        .header("if-none-match", "*")
        .header("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT")
        .header("te", "trailers")
        .send();
    assert_eq!(reply.expect(200).text(), "{\"status\":\"ok\"}");
}

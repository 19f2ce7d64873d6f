//! What is refused, with which status, and which refusal comes first.

use serde_json::json;

use crate::support::{SECRET, assert_code, plain, target};

#[test]
fn without_the_token_nothing_is_run() {
    let server = target("a");
    let body = json!({ "input": "hi" });

    let reply = server
        .anonymous("POST", "/api/plain/run")
        .json(&body)
        .send();

    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    assert_eq!(
        reply.expect(401).json(),
        json!({
            "code": "UNAUTHORIZED",
            "message": "Missing or invalid bearer token.",
            "status": 401,
        })
    );
}

#[test]
fn only_the_exact_token_is_accepted() {
    let server = target("a");

    for value in [
        "Bearer wrong",
        "bearer s3cret",
        "Bearer s3cret ",
        "s3cret",
        "Bearer s3cre",
    ] {
        let request = server.anonymous("GET", "/api/-/agents");
        let status = request.header("authorization", value).send().status();
        // A trailing space is no part of a header's value.
        let expected = if value.trim_end() == format!("Bearer {SECRET}") {
            200
        } else {
            401
        };
        assert_eq!(status, expected, "{value:?}");
    }
}

#[test]
fn an_unknown_path_is_refused_before_the_token_is_asked_for() {
    let server = target("a");

    let reply = server.anonymous("GET", "/api/plain/nothing/here").send();
    assert_eq!(
        reply.expect(404).json(),
        json!({ "code": "NOT_FOUND", "message": "Route not found.", "status": 404 })
    );

    let reply = server.anonymous("GET", "/api/plain/run").send();
    assert_eq!(reply.header("allow"), Some("POST"));
    assert_code(&reply.expect(405).json(), "METHOD_NOT_ALLOWED");
}

#[test]
fn the_token_is_asked_for_before_the_body_is_read() {
    let server = target("a");

    let _ = server
        .anonymous("POST", "/api/plain/run")
        .header("content-type", "text/plain")
        .body("{nope")
        .send()
        .expect(401);
}

#[test]
fn the_content_type_is_judged_before_the_body() {
    let server = target("a");
    let send = |kind: &str| {
        server
            .post("/api/plain/run")
            .header("content-type", kind)
            .body("{nope")
            .send()
    };

    assert_code(
        &send("text/plain").expect(415).json(),
        "UNSUPPORTED_MEDIA_TYPE",
    );
    assert_code(
        &send("Application/JSON; charset=utf-8").expect(422).json(),
        "VALIDATION_FAILED",
    );
}

#[test]
fn a_body_is_judged_before_the_agent_is_looked_for() {
    let server = target("a");

    let _ = server
        .post("/api/ghost/run")
        .json(&json!({}))
        .send()
        .expect(422);
    let reply = server.run("ghost", "hi").send().expect(404);

    assert_eq!(reply.json()["context"], json!({ "agentName": "ghost" }));
}

#[test]
fn every_mistake_of_a_body_is_named_at_once() {
    let server = target("a");
    let body = json!({ "maxSteps": 0, "conversationId": " ", "modalities": [] });

    let reply = server.post("/api/plain/run").json(&body).send().expect(422);

    let issues = reply.json()["issues"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut paths: Vec<_> = issues.iter().filter_map(|it| it["path"].as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/", "/conversationId", "/maxSteps", "/modalities"]);
}

#[test]
fn of_a_large_body_one_mistake_is_named() {
    let server = target("a");
    let modalities = [vec!["text"; 20_000], vec!["banana"; 20_000]].concat();
    let body = json!({ "input": "hi", "modalities": modalities });

    let reply = server.post("/api/plain/run").json(&body).send().expect(422);

    let issues = json!([{
        "path": "/modalities/20000",
        "message": "must be equal to one of the allowed values",
    }]);
    assert_eq!(reply.json()["issues"], issues);
}

#[test]
fn the_base_path_may_be_left_out_and_must_not_be_half_there() {
    let server = target("a");
    let body = json!({ "input": "hi" });

    for (path, status) in [
        ("/api/plain/run", 200),
        ("/plain/run", 200),
        ("/api//plain/run/", 200),
        ("/apix/plain/run", 404),
    ] {
        assert_eq!(
            server.post(path).json(&body).send().status(),
            status,
            "{path}"
        );
    }
}

#[test]
fn a_body_past_the_limit_is_refused() {
    let server = target("a");
    let long = "x".repeat(3 << 20);

    // The server may close the connection before all of it was sent.
    if let Ok(reply) = server.run("plain", &long).try_send() {
        assert_code(&reply.expect(413).json(), "PAYLOAD_TOO_LARGE");
    }
    let _ = server.run("plain", "hi").send().expect(200);
}

#[test]
fn a_body_with_a_key_twice_is_refused_and_guards_are_not_shown_it() {
    let spy = r#"
[[plugins.load]]
name = "spy"
library = "fixture_plugin"
config = { spy = true }
"#;
    let server = plain(spy).start();
    let send = |path: &str, body: &str| {
        let request = server.post(path);
        request
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    for (path, body, key, pointer) in [
        ("run", r#"{"input":"a","input":"b"}"#, "input", "/input"),
        (
            "run",
            r#"{"input":"a","context":[{"n":1,"n":1}]}"#,
            "n",
            "/context/0/n",
        ),
        (
            "run/tool-result",
            r#"{"runId":"r","toolCallId":"c","status":"success","result":{"a":1,"a":2}}"#,
            "a",
            "/result/a",
        ),
        (
            "run/tool-approval",
            r#"{"runId":"r","toolCallId":"c","decision":"denied","decision":"approved"}"#,
            "decision",
            "/decision",
        ),
    ] {
        let refused = send(&format!("/api/plain/{path}"), body).expect(422);
        let message = format!("Request body must not have the key '{key}' twice.");
        assert_eq!(
            refused.json(),
            json!({
                "code": "VALIDATION_FAILED",
                "message": "Request validation failed.",
                "status": 422,
                "issues": [{ "message": message, "path": pointer }],
            })
        );
    }
    let seen = server.anonymous("GET", "/api/spy").send().json();
    let seen = seen.as_array().expect("a list");
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|it| it["input"] == json!({})), "{seen:?}");
}

#[test]
fn ids_have_a_length_and_no_control_characters() {
    let server = target("a");
    let long = "x".repeat(1025);

    for path in [
        "plain/conversations/a%00b".to_owned(),
        "plain/conversations/a%0Ab/resume".to_owned(),
        format!("plain/conversations/{long}"),
    ] {
        let refused = server.get(&format!("/api/{path}")).send().expect(404);
        assert_eq!(refused.json()["message"], "Route not found.", "{path}");
    }
    for path in ["pl%1Bain/run", "plain/runs/%7F/abort"] {
        let _ = server.post(&format!("/api/{path}")).send().expect(404);
    }
    for id in ["a\u{0}b", "a\nb", &long] {
        let body = json!({ "input": "hi", "conversationId": id });
        let refused = server.post("/api/plain/run").json(&body).send().expect(422);
        assert_eq!(refused.json()["issues"][0]["path"], "/conversationId");
    }

    // Anything else may be in an id, as long as it is sent escaped.
    let free = format!("caf\u{e9} ../%2e \\ \u{1f980}{}", "y".repeat(900));
    let body = json!({ "input": "hi", "conversationId": free });
    let _ = server.post("/api/plain/run").json(&body).send().expect(200);
    let escaped = free.bytes().fold(String::new(), |escaped, byte| {
        format!("{escaped}%{byte:02x}")
    });
    let _ = server
        .get(&format!("/api/plain/conversations/{escaped}"))
        .send()
        .expect(200);
}

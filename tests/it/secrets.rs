//! Secrets, credentials and bodies are not written to the log and not told in errors, whatever
//! fails.

use std::time::{SystemTime, UNIX_EPOCH};

use integration_tests::tokens::{Signer, token};
use integration_tests::{Reply, Request, Server, ServerBuilder};
use serde_json::{Value, json};

/// Stands in everything that must not be seen.
const CANARY: &str = "canary";

const SECRET: &str = "canary-secret-0a6b1e";
const KEY: &str = "canary-key-77f1c2";
const TOKEN_SECRET: &str = "canary-token-secret-that-is-long-enough-for-every-algorithm-0123";

/// A server whose log has everything; `more` comes last.
fn server(auth: &str, more: &str) -> Server {
    let config = format!(
        r#"[server]
{auth}
secret = {{ env = "SECRET" }}
body_limit = "2 KiB"

[log]
format = "json"
level = "trace"

[[plugins.load]]
name = "jwt-auth"

[plugins.load.config]
header = "x-token"
scheme = ""

[[plugins.load.config.issuers]]
issuer = "https://id.example"
audience = ["mortise"]
keys = [{{ algorithms = ["HS256"], secret = {{ env = "TOKEN_SECRET" }} }}]

[[plugins.load]]
name = "keys"
library = "auth"
config = {{ keys = [{{ key = "{KEY}", subject = "ann" }}] }}

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ tools = true, endpoints = true, own = true, gate = true, bad_guard = true }}

[agents.plain]
model = "scripted/fake-1"
tools = ["add", "boom", "boom_throw"]

[agents.extractor]
model = "scripted/fake-1"

[agents.extractor.output_schema]
type = "object"
properties = {{ name = {{ type = "string" }} }}
required = ["name"]

[agents.interactive]
model = "scripted/fake-1"
tools = ["confirm"]
{more}
"#
    );
    ServerBuilder::new(&config)
        .variable("SECRET", SECRET)
        .variable("TOKEN_SECRET", TOKEN_SECRET)
        .start()
}

fn right_token() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server's clock is the real one"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is later than 1970").as_secs();
    let claims = json!({
        "iss": "https://id.example", "aud": "mortise", "sub": "bob", "exp": now + 600,
        "note": "canary-claim",
    });
    token(Signer::Secret(TOKEN_SECRET.as_bytes()), &claims)
}

fn with_all(request: Request) -> Request {
    request
        .bearer(SECRET)
        .header("x-api-key", KEY)
        .header("x-token", &right_token())
}

/// An error tells nothing of what was sent.
#[track_caller]
fn assert_silent(reply: &Reply) {
    if reply.status() >= 400 {
        let body = reply.text();
        assert!(!body.contains(CANARY), "{}: {body}", reply.status());
    }
}

/// Presents credentials that are right, wrong, broken and in the wrong place.
fn try_credentials(server: &Server) {
    let cases: [&[(&str, &str)]; 9] = [
        &[],
        &[("authorization", "Bearer canary-wrong")],
        &[("authorization", "Basic canary-basic")],
        &[("authorization", SECRET)],
        &[("x-api-key", "canary-wrong-key")],
        &[("x-token", "canary.wrong.token")],
        &[("cookie", "session=canary-cookie")],
        &[("proxy-authorization", "Basic canary-proxy")],
        &[("x-own", "zoe"), ("cookie", "session=canary-cookie")],
    ];
    for path in [
        "/api/plain/conversations/c",
        "/api/ops/abc?access_token=canary-query",
        "/own/who?access_token=canary-query",
        "/api/plain/stream-events/resume?streamId=canary-stream&token=canary-query",
        "/nowhere?token=canary-query",
    ] {
        for headers in cases {
            let alone = server.anonymous("GET", path);
            let alone = headers
                .iter()
                .fold(alone, |request, (name, value)| request.header(name, value));
            assert_silent(&alone.send());
            assert_silent(&with_all(alone).send());
        }
    }
}

/// Sends bodies that are right, broken, unfit, and such that something behind them fails.
fn try_bodies(server: &Server) {
    let message = "canary-body";
    for (agent, body) in [
        ("plain", json!({ "input": message })),
        (
            "plain",
            json!({ "input": message, "context": { "x": message, "explode": true } }),
        ),
        ("plain", json!({ "input": "fail", "context": message })),
        ("plain", json!({ "input": "crash", "context": message })),
        (
            "plain",
            json!({ "input": format!("call add {{\"a\":\"{message}\"}}") }),
        ),
        (
            "plain",
            json!({ "input": format!("call add {{broken {message}") }),
        ),
        (
            "plain",
            json!({ "input": format!("call boom {{\"a\":\"{message}\"}}") }),
        ),
        (
            "plain",
            json!({ "input": format!("call boom_throw {{\"a\":\"{message}\"}}") }),
        ),
        (
            "extractor",
            json!({ "input": format!("json {{\"other\":\"{message}\"}}") }),
        ),
        ("interactive", json!({ "input": message })),
        ("ghost", json!({ "input": message })),
        ("plain", json!({ "input": 5, "context": message })),
        (
            "plain",
            json!({ "input": message, "modalities": [message], "output": message }),
        ),
        (
            "plain",
            json!({ "input": [{ "type": "message", "role": 5, "content": message }] }),
        ),
        ("plain", json!({ "input": message.repeat(300) })),
    ] {
        let request = with_all(server.post(&format!("/api/{agent}/run"))).json(&body);
        assert_silent(&request.send());
        assert_silent(&request.clone().header("x-gate", "fail").send());
        assert_silent(&request.header("accept", "text/event-stream").send());
    }
    for raw in [
        "{\"input\":\"canary-body\"",
        "canary-body",
        "{\"input\":\"canary-body\",\"input\":\"canary-body\"}",
        "{\"input\":\"hi\",\"runId\":{\"a\":\"canary-body\",\"a\":\"canary-body\"}}",
    ] {
        for path in ["run", "run/tool-result", "run/tool-approval"] {
            let request = with_all(server.post(&format!("/api/plain/{path}")));
            let typed = request.clone().header("content-type", "application/json");
            assert_silent(&typed.body(raw).send());
            assert_silent(&request.body(raw).send());
        }
    }
    let own = server.anonymous("POST", "/own/json").header("x-own", "zoe");
    let own = own.header("content-type", "application/json");
    assert_silent(&own.body("canary-body").send());
}

/// Waits until everything is written, and reads the log.
fn whole_log(server: Server) -> String {
    server.signal(rustix::process::Signal::TERM);
    let ended = server.wait(crate::support::SOON);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    ended.log
}

#[track_caller]
fn assert_no_canary(log: &str) {
    let token = right_token();
    let claims = token.split('.').nth(1).expect("a token has three parts");
    for line in log.lines() {
        let _: Value = serde_json::from_str(line).expect("a line of JSON");
        // The first letters of the claims are those of every token of this test.
        assert!(!line.contains(&claims[..40]), "a token in {line}");
        assert!(!line.contains(CANARY), "{line}");
    }
}

#[test]
fn neither_the_log_nor_an_error_shows_a_secret_or_a_body() {
    for auth in ["auth = \"all\"", "auth = \"any\""] {
        let server = server(auth, "");

        try_credentials(&server);
        try_bodies(&server);

        let log = whole_log(server);
        for level in ["DEBUG", "INFO", "WARN", "ERROR"] {
            let level = format!("\"level\":\"{level}\"");
            assert!(log.contains(&level), "nothing at {level} in {log}");
        }
        assert_no_canary(&log);
    }
}

#[test]
fn a_log_of_requests_shows_no_credential() {
    let server = server(
        "auth = \"any\"",
        "[[plugins.load]]\nname = \"request-log\"\nconfig = { level = \"trace\" }\n",
    );

    try_credentials(&server);
    let run = server
        .post("/api/plain/run")
        .json(&json!({ "input": "hi" }));
    let _ = with_all(run).send().expect(200);

    let log = whole_log(server);
    assert!(log.contains("request.received"), "{log}");
    assert!(log.contains("x-token"), "that there was one may be read");
    assert_no_canary(&log);
}

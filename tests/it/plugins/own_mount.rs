//! A mount that lets clients in by itself: what still applies to it, and how its refusals look.

use integration_tests::{Reply, Request, Server, ServerBuilder};
use serde_json::{Value, json};

use crate::support::SCRIPTED;

/// The mount `/own`, behind a guard that authenticates and one that does not.
fn server() -> Server {
    let config = format!(
        r#"[server]
secret = "s3cret"
body_limit = "64 B"
{SCRIPTED}
[[plugins.load]]
name = "auth"
config = {{ keys = [{{ key = "ann-key", subject = "ann" }}] }}

[[plugins.load]]
name = "gate"
library = "fixture_plugin"
config = {{ gate = true }}

[[plugins.load]]
name = "own"
library = "fixture_plugin"
config = {{ own = true }}
"#
    );
    ServerBuilder::new(&config).start()
}

#[track_caller]
fn assert_rendered(reply: &Reply, status: u16, code: &str, message: &str) {
    let expected = json!({ "own": { "status": status, "code": code, "message": message } });
    assert_eq!((reply.status(), reply.json()), (status, expected));
}

fn json_of(length: usize) -> Value {
    json!("x".repeat(length - 2))
}

#[test]
fn the_mount_says_who_is_asking_and_the_secret_is_not_asked_for() {
    let server = server();

    let reply = server.anonymous("GET", "/own/who").header("x-own", "zoe");
    let reply = reply.send().expect(200);
    assert_eq!(reply.json(), json!({ "tenant": "own", "subject": "zoe" }));

    // What it does not know is nothing to it, right or wrong.
    let reply = server.anonymous("GET", "/own/who").header("x-own", "zoe");
    let reply = reply.bearer("nonsense").header("x-api-key", "nonsense");
    let _ = reply.send().expect(200);
}

#[test]
fn only_a_principal_lets_in() {
    let server = server();
    let asks = |name: &str| server.anonymous("GET", "/own/who").header("x-own", name);
    let message = "Missing or invalid bearer token.";

    let none = server.get("/own/who").bearer("s3cret").send();
    assert_rendered(&none, 401, "UNAUTHORIZED", message);
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    let passed = asks("nobody").send();
    assert_rendered(&passed, 401, "UNAUTHORIZED", message);

    // Its own answer stays as it is.
    let refused = asks("refuse").send();
    assert_eq!(
        (refused.status(), refused.json()),
        (
            402,
            json!({ "error": "payment_required", "message": "Not for free." })
        )
    );
    let failed = asks("fail").send();
    assert_rendered(&failed, 500, "INTERNAL", "Server request failed.");
}

#[test]
fn guards_that_do_not_authenticate_still_run_and_are_said_in_its_form() {
    let server = server();
    let gate = |state: &str| {
        let request = server.anonymous("GET", "/own/who").header("x-own", "zoe");
        request.header("x-gate", state).send()
    };

    let refused = gate("refuse");
    assert_rendered(&refused, 403, "FORBIDDEN", "The gate is closed.");
    assert_eq!(refused.header("x-closed-until"), Some("noon"));
    assert_rendered(&gate("fail"), 500, "INTERNAL", "Server request failed.");

    let native = server.get("/api/-/agents").bearer("s3cret");
    let native = native
        .header("x-api-key", "ann-key")
        .header("x-gate", "refuse");
    assert_eq!(native.send().expect(403).json()["error"], "closed");
}

#[test]
fn every_refusal_is_said_in_its_form() {
    let server = server();
    let asks = |method: &str, path: &str| server.anonymous(method, path).header("x-own", "zoe");
    let sends = |body: Value| asks("POST", "/own/json").json(&body);

    let missing = server.anonymous("GET", "/own/nothing").send();
    assert_rendered(&missing, 404, "NOT_FOUND", "Route not found.");

    let other = server.anonymous("DELETE", "/own/who").send();
    let message = "Request method is not allowed for this route.";
    assert_rendered(&other, 405, "METHOD_NOT_ALLOWED", message);
    assert_eq!(other.header("allow"), Some("GET"));

    let _ = sends(json_of(64)).send().expect(200);
    let message = "Request body is too large.";
    let announced = sends(json_of(65)).send();
    assert_rendered(&announced, 413, "PAYLOAD_TOO_LARGE", message);
    let found_out = chunked(&asks("POST", "/own/json"), &json_of(65).to_string());
    assert_rendered(&found_out, 413, "PAYLOAD_TOO_LARGE", message);

    let untyped = asks("POST", "/own/json").body("{}").send();
    assert_rendered(&untyped, 415, "UNSUPPORTED_MEDIA_TYPE", "Only JSON.");

    let lent = asks("GET", "/own/lent").send();
    assert_rendered(&lent, 409, "BOOK_LENT", "The book is lent already.");

    let thrown = asks("GET", "/own/throw").send();
    assert_rendered(&thrown, 500, "INTERNAL", "Server request failed.");
}

/// The request with a JSON body whose length it does not say.
fn chunked(request: &Request, body: &str) -> Reply {
    let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    request
        .clone()
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked")
        .raw_body(body)
        .send()
}

#[test]
fn a_public_endpoint_asks_for_nothing_and_no_guard() {
    let server = server();

    let open = server
        .anonymous("GET", "/own/open")
        .header("x-gate", "refuse");
    assert_eq!(open.send().expect(200).text(), "open");

    // Only this very path with this very method.
    for (method, path, status) in [
        ("POST", "/own/open", 405),
        ("GET", "/own/Open", 404),
        ("GET", "/own/open/x", 404),
        ("GET", "/own/who", 401),
    ] {
        let _ = server.anonymous(method, path).send().expect(status);
    }
}

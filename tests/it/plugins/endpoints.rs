//! Routes of plugins beside the built-in ones.

use serde_json::json;

use crate::support::{assert_code, target};

#[test]
fn a_public_endpoint_asks_for_no_token_and_a_private_one_does() {
    let server = target("a");

    let public = server.anonymous("GET", "/api/health").send().expect(200);
    assert_eq!(public.json(), json!({ "ok": true }));

    let private = server.anonymous("GET", "/api/ops/abc").send();
    assert_code(&private.expect(401).json(), "UNAUTHORIZED");
}

#[test]
fn an_endpoint_reads_its_parameter_the_query_and_the_method() {
    let server = target("a");

    for method in ["GET", "POST"] {
        let reply = server.request(method, "/api/ops/abc?q=1").send();
        assert_eq!(
            reply.expect(200).json(),
            json!({ "thing": "abc", "q": "1", "method": method })
        );
    }
    let without = server.get("/api/ops/abc").send().expect(200);
    assert_eq!(without.json()["q"], json!(null));
}

#[test]
fn a_method_that_an_endpoint_lacks_is_refused_before_the_token() {
    let server = target("a");

    let reply = server.anonymous("DELETE", "/api/ops/abc").send();

    assert_eq!(reply.header("allow"), Some("GET, POST"));
    assert_code(&reply.expect(405).json(), "METHOD_NOT_ALLOWED");
}

#[test]
fn a_typed_error_of_an_endpoint_is_shown_and_an_untyped_one_is_not() {
    let server = target("a");

    let typed = server.get("/api/ops-conflict").send().expect(409).json();
    assert_code(&typed, "CONFLICT");
    assert_eq!(typed["message"], "Typed endpoint error");
    assert_eq!(typed["context"], json!({ "k": 1 }));

    let untyped = server.get("/api/ops-throw").send().expect(500);
    assert_code(&untyped.json(), "INTERNAL");
    assert_eq!(untyped.json()["message"], "Server request failed.");
    assert!(!untyped.text().contains("exploded"), "{}", untyped.text());
}

#[test]
fn an_error_of_an_endpoint_may_have_a_status_of_its_own() {
    let server = target("a");

    let lent = server.get("/api/ops-lent").send().expect(409).json();

    let expected = json!({
        "code": "BOOK_LENT", "message": "The book is lent already.", "status": 409,
        "retryable": false,
    });
    assert_eq!(lent, expected);
}

#[test]
fn a_plugin_sees_every_run_whether_it_is_streamed_or_not() {
    let server = target("a");
    let last = || {
        let reply = server.anonymous("GET", "/api/last-run").send();
        reply.expect(200).json()["runId"].clone()
    };

    let stream = server.stream("plain", "hi");
    let run_id = stream.run_id();
    stream.finish();
    assert_eq!(last(), json!(run_id));

    let _ = server.run("plain", "hi").send().expect(200);
    assert_ne!(last(), json!(run_id));
}

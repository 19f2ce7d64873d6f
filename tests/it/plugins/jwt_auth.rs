//! The shipped `jwt-auth` plugin: whose tokens come in, and how the others are refused.

use std::time::{SystemTime, UNIX_EPOCH};

use integration_tests::tokens::{Signer, TOKEN_SECRET, test_key, token, token_with};
use integration_tests::{Reply, Server};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::plain;

/// A server that trusts a secret and an ES256 key.
fn guarded(more: &str) -> Server {
    let config = format!(
        r#"
[[plugins.load]]
name = "jwt-auth"

[plugins.load.config]
{more}

[[plugins.load.config.issuers]]
issuer = "https://id.example"
audience = ["mortise"]
tenant_claim = "org"
keys = [
    {{ id = "s1", algorithms = ["HS256"], secret = {{ env = "TOKEN_SECRET" }} }},
    {{ id = "e1", algorithms = ["ES256"], key = {{ file = "es256.pem" }} }},
]
"#
    );
    let server = plain(&config).variable("TOKEN_SECRET", TOKEN_SECRET);
    std::fs::write(
        server.folder().join("es256.pem"),
        test_key("es256-a.pub.pem"),
    )
    .expect("the folder can be written");
    server.start()
}

fn now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server's clock is the real one"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later than 1970").as_secs()
}

/// Claims that are accepted.
fn ann() -> Value {
    json!({
        "iss": "https://id.example", "aud": "mortise", "sub": "ann", "org": "acme",
        "exp": now() + 600,
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn by_secret(claims: &Value) -> String {
    token_with(
        Signer::Secret(TOKEN_SECRET.as_bytes()),
        &json!({ "kid": "s1" }),
        claims,
    )
}

fn run_with(server: &Server, authorization: &str) -> Reply {
    server
        .run("plain", "hi")
        .header("authorization", authorization)
        .send()
}

#[track_caller]
fn assert_invalid(reply: Reply) {
    let reply = reply.expect(401);
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    assert_eq!(
        reply.json(),
        json!({
            "code": "UNAUTHORIZED", "message": "Missing or invalid bearer token.", "status": 401,
        })
    );
}

#[test]
fn tokens_of_both_keys_come_in_and_no_token_does_not() {
    let server = guarded("");
    let elliptic = test_key("es256-a.pem");
    let by_curve = token_with(
        Signer::Pem(Algorithm::ES256, &elliptic),
        &json!({ "kid": "e1", "typ": "JWT" }),
        &ann(),
    );

    for token in [by_secret(&ann()), by_curve] {
        let _ = run_with(&server, &format!("Bearer {token}")).expect(200);
        let again = run_with(&server, &format!("bearer {token}"));
        let _ = again.expect(200);
    }

    let without = server.run("plain", "hi").send().expect(401);
    assert_eq!(without.header("www-authenticate"), Some("Bearer"));
    let _ = run_with(&server, "Basic YW5uOmFubg==").expect(401);
}

#[test]
fn what_a_token_says_must_be_right() {
    let server = guarded("");
    let wrong = [
        with(ann(), "exp", (now() - 60).into()),
        with(ann(), "exp", Value::Null),
        with(ann(), "nbf", (now() + 600).into()),
        with(ann(), "iss", "https://id.example/".into()),
        with(ann(), "aud", "other".into()),
        with(ann(), "org", Value::Null),
        with(ann(), "sub", "".into()),
    ];
    for claims in wrong {
        assert_invalid(run_with(&server, &format!("Bearer {}", by_secret(&claims))));
    }
    let unnamed = token(Signer::Secret(TOKEN_SECRET.as_bytes()), &ann());
    assert_invalid(run_with(&server, &format!("Bearer {unnamed}")));
}

#[test]
fn a_missing_scope_is_told_to_whoever_is_known() {
    let server = guarded(r#"rules = [{ kinds = ["run"], scopes = ["runs:start"] }]"#);

    let plain = by_secret(&ann());
    let refused = run_with(&server, &format!("Bearer {plain}")).expect(403);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"runs:start\"")
    );
    assert_eq!(refused.json()["code"], "FORBIDDEN");

    let scoped = by_secret(&with(ann(), "scope", "other runs:start".into()));
    let _ = run_with(&server, &format!("Bearer {scoped}")).expect(200);
}

//! Configurations that are refused.

use super::*;

/// Why this configuration is refused.
fn refused(config: Value) -> String {
    let host = FakeHost::new("jwt-auth");
    told(&host.load::<JwtAuth>(config).unwrap_err())
}

/// The place, and what is wrong there.
fn told(error: &Error) -> String {
    let place = error.issues().first().map(|issue| &*issue.path);
    format!("{} {}", place.unwrap_or_default(), error.message())
}

#[test]
fn configurations_that_would_be_unsafe_are_refused_by_place() {
    let of_key = |key: Value| refused(issuer(&json!([key]), &json!({})));
    let of_issuer = |more: Value| refused(issuer(&json!([secret_key()]), &more));
    let private = test_key!("es256-a");
    for (message, reason) in [
        (refused(json!({})), "/issuers is empty"),
        (
            refused(json!({ "issuers": [{}] })),
            "neither `keys` nor `jwks`",
        ),
        (
            refused(json!({ "header": "x y", "issuers": [{}] })),
            "no name of a header",
        ),
        (
            refused(json!({ "scheme": "B r", "issuers": [{}] })),
            "no scheme",
        ),
        (
            refused(json!({ "remembered_tokens": 2_000_000 })),
            "more than 1000000",
        ),
        (
            of_issuer(json!({ "leeway": "6m" })),
            "longer than five minutes",
        ),
        (of_issuer(json!({ "tenant": " " })), "tenant is blank"),
        (
            of_issuer(json!({ "subject_claim": "" })),
            "subject_claim is blank",
        ),
        (
            of_key(json!({ "algorithms": [], "secret": SECRET })),
            "algorithms is empty",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"] })),
            "one of `secret` and `key`",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": SECRET, "key": "x" })),
            "one of `secret` and `key`",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": "" })),
            "at least 32 bytes",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": "x".repeat(31) })),
            "at least 32 bytes",
        ),
        (
            of_key(json!({ "algorithms": ["HS512"], "secret": "x".repeat(63) })),
            "at least 64 bytes",
        ),
        (
            of_key(json!({ "algorithms": ["HS256", "RS256"], "secret": SECRET })),
            "`RS256` needs an RSA key",
        ),
        (
            of_key(json!({ "algorithms": ["RS256", "HS256"], "key": test_key!("rsa.pub") })),
            "it is an RSA key, which `HS256` does not work with",
        ),
        (
            of_key(json!({ "algorithms": ["ES384"], "key": test_key!("es256-a.pub") })),
            "no algorithm that it fits",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": test_key!("rsa.pub") })),
            "no secret; write it as `key`",
        ),
        (
            of_key(json!({ "algorithms": ["ES256"], "key": private })),
            "private key",
        ),
        (
            of_key(json!({ "algorithms": ["ES256"], "key": test_key!("es256-a.crt") })),
            "certificate",
        ),
        (
            of_key(json!({ "algorithms": ["RS256"], "key": test_key!("rsa-1024.pub") })),
            "this one 1024",
        ),
        (
            of_key(json!({ "algorithms": ["RS256"], "key": "x" })),
            "neither a public key",
        ),
    ] {
        assert!(message.contains(reason), "{message:?} has no {reason:?}");
        assert!(
            !message.contains("xxx") && !message.contains("BEGIN"),
            "{message}"
        );
    }
}

#[test]
fn issuers_that_cannot_be_told_apart_are_refused() {
    let refused = |issuers: Value| {
        let host = FakeHost::new("jwt-auth");
        let loaded = host.load::<JwtAuth>(json!({ "issuers": issuers }));
        told(&loaded.unwrap_err())
    };
    let one = |issuer: &str, prefix: &str| json!({ "issuer": issuer, "subject_prefix": prefix, "keys": [secret_key()] });
    let nameless = refused(json!([one("a", "a:"), one("", "b:")]));
    assert!(
        nameless.contains("/issuers/1/issuer is empty"),
        "{nameless}"
    );
    let same = refused(json!([one("a", "a:"), one("a", "b:")]));
    assert!(same.contains("the same as"), "{same}");
    for (first, second) in [("", ""), ("a:", ""), ("a", "ab"), ("ab", "a")] {
        let alike = refused(json!([one("a", first), one("b", second)]));
        assert!(alike.contains("begin alike"), "{alike}");
    }
    let keys = json!([
        { "id": "k", "algorithms": ["HS256"], "secret": SECRET },
        { "id": "k", "algorithms": ["HS384"], "secret": SECRET },
    ]);
    let ids = refused(json!([{ "keys": keys }]));
    assert!(
        ids.contains("/keys/1/id is the same as that of keys.0"),
        "{ids}"
    );
}

#[test]
fn rules_that_would_not_do_what_they_say_are_refused() {
    let refused = |rule: Value| {
        let mut config = issuer(&json!([secret_key()]), &json!({}));
        config["rules"] = json!([rule]);
        let host = FakeHost::new("jwt-auth");
        told(&host.load::<JwtAuth>(config).unwrap_err())
    };
    let nothing = refused(json!({ "kinds": ["run"] }));
    assert!(nothing.contains("would ask for nothing"), "{nothing}");
    let stream = refused(json!({ "kinds": ["stream"], "scopes": ["x"] }));
    assert!(stream.contains("\"run\" means both"), "{stream}");
    let unknown = refused(json!({ "kinds": ["runs"], "scopes": ["x"] }));
    assert!(unknown.contains("no kind of request"), "{unknown}");
    for scope in ["", "a b", "a\"b", "ä", "a\r\nb"] {
        let message = refused(json!({ "scopes": [scope] }));
        assert!(message.contains("no scope"), "{message}");
    }
}

#[test]
fn nothing_shows_a_key() {
    let config: Config =
        serde_json::from_value(issuer(&json!([secret_key()]), &json!({}))).unwrap();
    assert!(!format!("{config:?}").contains(SECRET));
    let host = FakeHost::new("jwt-auth");
    let loaded = host
        .load::<JwtAuth>(issuer(&json!([secret_key()]), &json!({})))
        .unwrap();
    let guard = TokenGuard::new(config, loaded.host().clone()).unwrap();
    assert!(!format!("{guard:?}").contains(SECRET));
}

#[test]
fn key_sets_that_would_be_unsafe_are_refused() {
    let jwks = |more: &Value| {
        let mut jwks = json!({ "url": "https://x/jwks", "algorithms": ["RS256"] });
        for (name, value) in more.as_object().unwrap() {
            jwks[name] = value.clone();
        }
        refused(json!({ "issuers": [{ "jwks": jwks }] }))
    };
    for (message, reason) in [
        (
            jwks(&json!({ "url": "http://id.example/jwks" })),
            "not encrypted",
        ),
        (
            jwks(&json!({ "url": "http://127.0.0.1.example/jwks" })),
            "not encrypted",
        ),
        (
            jwks(&json!({ "url": "https://a:b@id.example/jwks" })),
            "a name or a password",
        ),
        (
            jwks(&json!({ "url": "file://jwks.json" })),
            "no https:// or file:///",
        ),
        (
            jwks(&json!({ "url": "ftp://x/y" })),
            "no https:// or file:///",
        ),
        (jwks(&json!({ "url": "" })), "no https:// or file:///"),
        (jwks(&json!({ "algorithms": [] })), "algorithms is empty"),
        (
            jwks(&json!({ "algorithms": ["RS256", "HS256"] })),
            "has HS256",
        ),
        (
            jwks(&json!({ "cooldown": "0s" })),
            "cooldown is 0s: it may be from 1s",
        ),
        (
            jwks(&json!({ "refresh": "1s" })),
            "refresh is 1s: it may be from 10s",
        ),
        (
            jwks(&json!({ "timeout": "10s" })),
            "timeout is 10s: it may be from 1s to 9s",
        ),
    ] {
        assert!(message.contains(reason), "{message:?} has no {reason:?}");
    }
}

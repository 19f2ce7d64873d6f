//! What passes and what does not, with a clock that stands still.

use std::time::Duration;

use mortise_plugin_api::ResponseHead;
use mortise_plugin_api::testing::{FakeHost, FakeRequest, Loaded};

use crate::RateLimit;

use super::*;

/// 2026-11-20T20:28:35Z, 85 s before the end of ten minutes.
const NOW: u64 = 1_795_206_515_000;

fn host() -> FakeHost {
    FakeHost::new("rate-limit").at(NOW)
}

fn load(host: &FakeHost, config: Value) -> Loaded {
    host.load::<RateLimit>(config).unwrap()
}

fn rule(rule: &Value) -> Value {
    json!({ "rules": [rule] })
}

async fn ask(loaded: &Loaded, request: FakeRequest) -> Option<Response> {
    match loaded.hook("rate-limit").guard(request).await.unwrap() {
        GuardVerdict::Pass => None,
        GuardVerdict::Respond(response) => Some(response),
        other => panic!("{other:?}"),
    }
}

async fn passes(loaded: &Loaded, request: FakeRequest) -> bool {
    ask(loaded, request).await.is_none()
}

fn run() -> FakeRequest {
    FakeRequest::run("plain")
}

fn user(name: &str) -> FakeRequest {
    run().with_header("x-user", name)
}

async fn json_of(response: Response) -> Value {
    response.into_body().json().await.unwrap()
}

#[tokio::test]
async fn a_refusal_says_who_how_many_and_until_when() {
    let config = json!({
        "max": 3, "window": "10m", "key": ["header:x-user"], "absent": "anon",
    });
    let loaded = load(&host(), rule(&config));
    for _ in 0..3 {
        assert!(passes(&loaded, user("u1")).await);
    }

    let refused = ask(&loaded, user("u1")).await.unwrap();
    assert_eq!(refused.status(), 429);
    for (name, value) in [
        ("content-type", "application/json"),
        ("retry-after", "85"),
        ("x-ratelimit-limit", "3"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1795206600"),
    ] {
        assert_eq!(refused.header(name), Some(value), "{name}");
    }
    assert_eq!(
        json_of(refused).await,
        json!({
            "error": "rate_limited",
            "message": "Too many requests.",
            "key": "u1",
            "limit": 3,
            "remaining": 0,
            "resetAt": "2026-11-20T20:30:00.000Z",
        })
    );

    assert!(passes(&loaded, user("u2")).await);
    assert!(passes(&loaded, run()).await);
}

#[tokio::test]
async fn a_window_begins_anew() {
    let host = host();
    let loaded = load(&host, rule(&json!({ "max": 1, "window": "10m" })));
    assert!(passes(&loaded, run()).await);
    host.advance(Duration::from_millis(84_999));
    let refused = ask(&loaded, run()).await.unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    host.advance(Duration::from_millis(1));
    assert!(passes(&loaded, run()).await);
}

#[tokio::test]
async fn a_bucket_fills_one_by_one() {
    let host = host();
    let config = json!({ "limit": "bucket", "max": 2, "window": "10s", "key": ["ip"] });
    let loaded = load(&host, rule(&config));
    assert!(passes(&loaded, run()).await);
    assert!(passes(&loaded, run()).await);
    let refused = ask(&loaded, run()).await.unwrap();
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(
        json_of(refused).await["resetAt"],
        "2026-11-20T20:28:40.000Z"
    );
    host.advance(Duration::from_secs(5));
    assert!(passes(&loaded, run()).await);
    assert!(!passes(&loaded, run()).await);
}

#[tokio::test]
async fn so_many_requests_may_be_under_way() {
    let host = host();
    let loaded = load(&host, rule(&json!({ "limit": "concurrent", "max": 2 })));
    assert!(passes(&loaded, run()).await);
    assert!(passes(&loaded, run()).await);
    let refused = ask(&loaded, run()).await.unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-ratelimit-reset"), None);
    let body = json_of(refused).await;
    assert_eq!(body["limit"], 2);
    assert!(body.get("resetAt").is_none(), "nobody knows: {body}");
    host.end_requests();
    assert!(passes(&loaded, run()).await);
}

#[tokio::test]
async fn every_rule_must_let_a_request_pass() {
    let loaded = load(
        &host(),
        json!({ "rules": [
            { "max": 2, "window": "10m", "key": ["header:x-user"] },
            { "max": 3, "window": "10m", "key": ["agent"] },
        ] }),
    );
    assert!(passes(&loaded, user("a")).await);
    assert!(passes(&loaded, user("a")).await);
    assert!(!passes(&loaded, user("a")).await, "by the first");
    assert!(passes(&loaded, user("b")).await);
    let refused = ask(&loaded, user("b")).await.unwrap();
    assert_eq!(json_of(refused).await["key"], "plain", "by the second");
}

#[tokio::test]
async fn a_rule_may_be_for_some_kinds_of_requests() {
    let config = json!({ "max": 1, "window": "10m", "kinds": ["run", "stream"] });
    let loaded = load(&host(), rule(&config));
    let of = |kind| run().with_kind(kind);
    assert!(passes(&loaded, of(RequestKind::Run)).await);
    assert!(!passes(&loaded, of(RequestKind::Stream)).await);
    assert!(passes(&loaded, of(RequestKind::AbortRun)).await);
}

#[tokio::test]
async fn what_was_counted_survives_the_instance_and_the_order_of_rules() {
    let host = host();
    let (one, other) = (
        json!({ "max": 1, "window": "10m", "key": ["ip"] }),
        json!({ "max": 9, "window": "10m" }),
    );
    let first = load(&host, json!({ "rules": [one, other] }));
    assert!(passes(&first, run()).await);
    drop(first);
    let second = load(&host, json!({ "rules": [other, one] }));
    assert!(!passes(&second, run()).await);
}

#[tokio::test]
async fn without_a_count_requests_go_on_or_not_as_the_operator_wants() {
    let down = || {
        let down = |_| Err(Error::unavailable("nobody counts"));
        host()
            .with_service("limits.take", down)
            .with_service("limits.hold", down)
    };
    for limit in [
        json!({ "max": 1, "window": "1s" }),
        json!({ "max": 1, "limit": "concurrent" }),
    ] {
        let mut config = rule(&limit);
        assert!(passes(&load(&down(), config.clone()), run()).await);

        config["on_store_error"] = "deny".into();
        let refused = ask(&load(&down(), config), run()).await.unwrap();
        assert_eq!(refused.status(), 503);
        assert_eq!(
            json_of(refused).await,
            json!({
                "error": "service_unavailable",
                "message": "Rate limit storage is unavailable.",
            })
        );
    }
}

#[tokio::test]
async fn replies_say_how_a_client_stands_where_that_is_asked_for() {
    let mut config = json!({ "rules": [
        { "max": 9, "window": "10m" },
        { "max": 3, "window": "10m", "key": ["ip"] },
        { "limit": "concurrent", "max": 100 },
    ] });
    config["headers"] = "always".into();
    let loaded = load(&host(), config);
    assert!(passes(&loaded, run()).await);
    let headers = loaded.hook("rate-headers");
    let respond = || headers.response(ResponseHead::new(200));
    let head = respond().await.unwrap().unwrap();
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        headers,
        [
            ("x-ratelimit-limit", "3"),
            ("x-ratelimit-remaining", "2"),
            ("x-ratelimit-reset", "1795206600"),
        ]
    );
    assert_eq!(respond().await.unwrap(), None, "said once");
}

#[test]
fn a_configuration_that_makes_no_sense_says_why() {
    let same = json!({ "max": 1, "window": "60s" });
    for (config, expected) in [
        (json!({}), "/rules is empty"),
        (rule(&json!({ "max": 1 })), "/rules/0/window is missing"),
        (
            rule(&json!({ "max": 1, "window": "soon" })),
            "\"soon\" is no time such as",
        ),
        (
            rule(&json!({ "max": 1, "window": "0s" })),
            "/rules/0/window is 0s: it may be from 1ms to 10years",
        ),
        (
            rule(&json!({ "max": 1, "window": "11 years" })),
            "/rules/0/window is 11years",
        ),
        (
            rule(&json!({ "limit": "concurrent", "max": 1, "window": "1s" })),
            "/rules/0/window is set, but limit = \"concurrent\" has none",
        ),
        (
            rule(&json!({ "max": 1, "window": "1s", "key": ["ip", "user"] })),
            "/rules/0/key/1 is \"user\", which is none of",
        ),
        (
            json!({ "rules": [same, { "max": 1, "window": "1m" }] }),
            "/rules/1 is the same as rules.0",
        ),
        (rule(&json!({ "window": "1s" })), "max"),
        (rule(&json!({ "max": 0, "window": "1s" })), "max"),
        (rule(&json!({ "max": -1, "window": "1s" })), "/rules/0/max"),
        (
            rule(&json!({ "max": 1, "window": "1s", "kinds": ["walk"] })),
            "walk",
        ),
        (
            rule(&json!({ "max": 1, "window": "1s", "ipv6_prefix": 129 })),
            "ipv6_prefix",
        ),
        (
            rule(&json!({ "max": 1, "window": "1s", "burst": 2 })),
            "burst",
        ),
        (
            json!({ "rules": [same], "on_store_error": "ignore" }),
            "/on_store_error",
        ),
    ] {
        let refused = host().load::<RateLimit>(config.clone()).map(drop);
        let refused = refused.unwrap_err();
        let place = refused.issues().first().map(|issue| &*issue.path);
        let told = format!("{} {refused}", place.unwrap_or_default());
        assert!(told.contains(expected), "{config}: {told}");
    }
}

//! What the holder of a token may do.

use super::*;

#[tokio::test]
async fn all_rules_that_fit_a_request_must_be_met() {
    let mut config = issuer(&json!([secret_key()]), &json!({}));
    config["rules"] = json!([
        { "kinds": ["tool_approval"], "scopes": ["runs:approve"] },
        { "agents": ["secret"], "scopes": ["secret:use"] },
        { "kinds": ["run"], "agents": ["secret"], "scopes": ["secret:run", "secret:use"] },
        { "mounts": ["ops"], "methods": ["post"], "scopes": ["ops:write"] },
    ]);
    let (hook, _) = load(config);
    let of = |request: FakeRequest, scopes: &str| {
        let token = by_secret(&with(&claims(), "scope", scopes));
        answer(
            &hook,
            request.with_header("authorization", format!("Bearer {token}")),
        )
    };
    let run = FakeRequest::run;
    let refused = Answer::Refused(403);

    assert_eq!(of(run("plain"), "").await, ann());
    let approval = || run("plain").with_kind(RequestKind::ToolApproval);
    assert_eq!(of(approval(), "runs:approver").await, refused);
    assert_eq!(of(approval(), "runs:approve").await, ann());
    for kind in [RequestKind::Run, RequestKind::Stream] {
        let run = || run("secret").with_kind(kind);
        assert_eq!(of(run(), "secret:use").await, refused);
        assert_eq!(of(run(), "secret:run").await, refused);
        assert_eq!(of(run(), "secret:run secret:use").await, ann());
    }
    let abort = run("secret").with_kind(RequestKind::AbortRun);
    assert_eq!(of(abort, "secret:use").await, ann());
    let ops = |method: &str| FakeRequest::new(method, "/x").with_mount("ops");
    assert_eq!(of(ops("GET"), "").await, ann());
    assert_eq!(of(ops("POST"), "").await, refused);
    assert_eq!(of(ops("POST"), "ops:write").await, ann());

    let token = by_secret(&with(&claims(), "scope", "secret:run"));
    let request = run("secret").with_header("authorization", format!("Bearer {token}"));
    let GuardVerdict::Respond(response) = hook.guard(request).await.unwrap() else {
        panic!("a scope is missing");
    };
    assert_eq!(
        response.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"secret:use\"")
    );
}

//! What a plugin offers, through the plain traits.

use futures_util::StreamExt as _;
use mortise_plugin_api::{
    Body, Chunk, EventVerdict, GuardVerdict, Item, ModelRequest, ModelResponse, OnError, Principal,
    RequestKind,
};
use serde_json::json;

use super::odd::odd;
use super::*;
use crate::clock::Clock;
use crate::ledger::{Ledger, Places};
use crate::plugin::request::{RequestParts, RequestView};

fn request(path: &str) -> Arc<RequestView> {
    request_of(path, [127, 0, 0, 1], &Ledger::new(Clock::SYSTEM))
}

pub(super) fn request_of(path: &str, client_ip: [u8; 4], ledger: &Arc<Ledger>) -> Arc<RequestView> {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-who", "ann".parse().unwrap());
    RequestView::new(RequestParts {
        id: "req-1".into(),
        method: http::Method::POST,
        uri: path.parse().unwrap(),
        headers,
        peer: ([127, 0, 0, 1], 7).into(),
        client_ip: client_ip.into(),
        kind: RequestKind::Endpoint,
        agent: None,
        mount: None,
        params: Vec::new(),
        body: bytes::Bytes::new(),
        places: Places::of(Arc::clone(ledger)),
    })
}

#[tokio::test]
async fn a_guard_sees_the_request_as_it_stands() {
    let loaded = load_linked(vec![odd("a", &["hook doorman"])])
        .await
        .unwrap();
    let hook = &loaded.catalog.hooks[0].capability;
    let request = request("/x?y=1");
    let GuardVerdict::Respond(response) = guard_now(hook, &request).unwrap() else {
        panic!("it lets anybody in");
    };
    assert_eq!(response.status(), 403);
    let body: Value = response.into_body().json().await.unwrap();
    assert_eq!(body["message"], "not you, 127.0.0.1:7");

    request.set_principal(Principal::new("ann"));
    let verdict = hook.guard(&request).await.unwrap();
    assert!(matches!(verdict, GuardVerdict::Pass));
}

#[tokio::test]
async fn events_and_stages_cross_both_ways() {
    let loaded = load_linked(vec![odd("a", &["hook doorman"])])
        .await
        .unwrap();
    let hook = &loaded.catalog.hooks[0].capability;
    let run = Arc::<FakeRun>::default();
    let said = |delta: &str| Event::TextMessageContent {
        message_id: "m".to_owned(),
        delta: delta.to_owned(),
        timestamp: 7,
    };
    let verdict = hook.event(run.services(), said("secret")).await.unwrap();
    assert_eq!(verdict, EventVerdict::Replace(said("…")));

    let payload = serde_json::to_vec(&ModelResponse::text("first")).unwrap();
    let answer = hook.stage("after_model", Some(run), payload).await.unwrap();
    let answer: ModelResponse = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer, ModelResponse::text("replaced"));
}

#[tokio::test]
async fn chunks_of_a_model_outlive_the_catalog() {
    let loaded = load_linked(vec![odd("a", &["model maker/parrot"])])
        .await
        .unwrap();
    let model = &loaded.catalog.models[0].capability;
    let request = ModelRequest::new(vec![Item::user("hello")]);
    let chunks = model.generate(Arc::<FakeRun>::default(), &request).await;
    drop(loaded);
    let chunks: Vec<_> = chunks.unwrap().collect().await;
    assert_eq!(chunks.len(), 2);
    assert!(matches!(&chunks[0], Ok(Chunk::Text { delta }) if delta == "hello"));
}

#[tokio::test]
async fn bodies_stream_both_ways_and_their_panics_are_errors() {
    let loaded = load_linked(vec![odd("a", &["base /echo"])]).await.unwrap();
    let mount = &loaded.catalog.mounts[0].capability;
    let chunks = [Ok("hel".into()), Ok("lo".into())];
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let response = mount.handle(0, &request("/echo"), body).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.header("content-type"), Some("text/plain"));
    let mut body = response.into_body();
    drop(loaded);
    assert_eq!(body.next().await.unwrap().unwrap(), "ann: ");
    // The panic may overtake what was written just before it.
    let error = loop {
        match body.next().await.unwrap() {
            Ok(chunk) => assert_eq!(chunk, "hello"),
            Err(error) => break error,
        }
    };
    assert!(error.is_panic());
    assert!(error.message().ends_with("out of ink"), "{error}");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_plugin_whose_hooks_keep_panicking_is_not_asked_for_a_while() {
    let does = ["hook doorman", "tool hammer"];
    let loaded = load_linked(vec![odd("a", &does), odd("b", &["hook doorman"])])
        .await
        .unwrap();
    let ask = |hook: usize, path: &str| {
        let hook = &loaded.catalog.hooks[hook].capability;
        guard_now(hook, &request(path)).map(drop)
    };
    for _ in 0..5 {
        assert!(ask(0, "/panic").unwrap_err().is_panic());
    }
    let error = ask(0, "/").unwrap_err();
    assert_eq!(error.code(), Some(crate::plugin::SWITCHED_OFF));
    assert!(
        error
            .message()
            .starts_with("plugin 'a' is switched off after 5 panics")
    );
    assert!(ask(1, "/").is_ok(), "the other instance works");
    let hammer = &loaded.catalog.tools[0].capability;
    let hit = hammer.call(Arc::<FakeRun>::default(), &json!({ "hit": "nail" }));
    assert!(hit.await.is_ok(), "who asks for its tool gets it");
}

#[tokio::test]
async fn a_guard_that_panics_is_an_error() {
    let loaded = load_linked(vec![odd("a", &["hook doorman"])])
        .await
        .unwrap();
    let hook = &loaded.catalog.hooks[0];
    assert_eq!(hook.on_error, OnError::Deny, "guards deny");
    let error = guard_now(&hook.capability, &request("/panic")).unwrap_err();
    assert!(error.is_panic());
    assert!(
        hook.capability
            .guard(&request("/panic"))
            .await
            .unwrap_err()
            .is_panic()
    );
}

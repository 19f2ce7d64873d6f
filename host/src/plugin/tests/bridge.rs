//! What plugins may call, and when.

use super::odd::odd;
use super::*;
use mortise_plugin_api::{Error, GuardVerdict, Limit, Taken};
use serde_json::json;

use super::capabilities::request_of;
use crate::ledger::Ledger;
use crate::plugin::capability::HostApi;

struct Answering(Arc<Ledger>);

impl HostApi for Answering {
    fn call(
        &self,
        instance: Arc<str>,
        service: String,
        payload: Value,
    ) -> BoxFuture<'static, PluginResult<Value>> {
        Box::pin(async move {
            assert_ne!(payload["panic"], true, "the host is at fault");
            Ok(json!([&*instance, service]))
        })
    }

    fn take(&self, instance: &str, key: &str, limit: Limit, count: u32) -> PluginResult<Taken> {
        self.0.take(instance, key, limit, count)
    }
}

#[tokio::test]
async fn services_answer_once_they_are_attached() {
    let slot = HostApiSlot::new();
    let linked = vec![odd("a", &["tool hammer"])];
    let config = Config::default();
    let loaded = load(&config, linked, &[], &host(&slot)).await.unwrap();
    let tool = &loaded.catalog.tools[0].capability;
    let run = Arc::<FakeRun>::default();
    let call = |arguments| tool.call(run.services(), &arguments);

    let error = call(json!({ "hit": "host" })).await.unwrap_err();
    assert_eq!(error.code(), Some(Error::UNAVAILABLE));
    slot.attach(Arc::new(Answering(Ledger::new(Clock::SYSTEM))));
    let answer = call(json!({ "hit": "host" })).await.unwrap();
    assert_eq!(answer, json!(["a", "any.service"]));
    let error = call(json!({ "hit": "host", "panic": true }))
        .await
        .unwrap_err();
    assert!(error.message().contains("the host is at fault"), "{error}");
    assert!(!error.is_panic(), "the plugin is not");
}

#[tokio::test]
async fn the_hosts_futures_may_be_polled_on_any_thread() {
    fn now() -> u64 {
        1_700_000_000_000
    }
    let linked = vec![odd("a", &["tool hammer"])];
    let host = HostParts {
        clock: Clock::of(now),
        ..host(&HostApiSlot::new())
    };
    let loaded = load(&Config::default(), linked, &[], &host).await.unwrap();
    let tool = &loaded.catalog.tools[0].capability;
    let run = Arc::<FakeRun>::default();
    let answer = tool.call(run, &json!({ "hit": "clock" })).await.unwrap();
    assert_eq!(answer, json!(now()));
}

#[tokio::test]
async fn a_run_is_what_its_services_say() {
    let loaded = load_linked(vec![odd("a", &["agent one"])]).await.unwrap();
    let agent = &loaded.catalog.agents[0].capability;
    let run = Arc::<FakeRun>::default();
    let result = agent.run(run.services(), &[]).await.unwrap();
    assert_eq!(run.asked(), ["DATA_PART"]);
    let text = result.response.output[0].text();
    assert!(text.contains("no model any/model"), "{text}");
}

#[tokio::test]
async fn guards_count_at_once_each_instance_for_itself() {
    let slot = HostApiSlot::new();
    let linked = ["a", "b"].map(|name| odd(name, &["counter one"])).into();
    let loaded = load(&Config::default(), linked, &[], &host(&slot))
        .await
        .unwrap();
    let ledger = Ledger::new(Clock::SYSTEM);
    let ask = |instance: usize, path: &str| {
        let hook = &loaded.catalog.hooks[instance].capability;
        let request = request_of(path, [192, 0, 2, 7], &ledger);
        let verdict = guard_now(hook, &request);
        verdict.map(|it| (matches!(it, GuardVerdict::Pass), request))
    };
    let passes = |instance, path| ask(instance, path).unwrap().0;

    let error = ask(0, "/take").map(drop).unwrap_err();
    assert_eq!(error.code(), Some(Error::UNAVAILABLE), "nobody counts yet");
    slot.attach(Arc::new(Answering(Arc::clone(&ledger))));

    // Two for each client and instance.
    assert_eq!([(); 3].map(|()| passes(0, "/take")), [true, true, false]);
    assert_eq!([(); 3].map(|()| passes(1, "/take")), [true, true, false]);

    // Two at once: a request that is over leaves its place.
    assert_eq!([(); 3].map(|()| passes(0, "/hold")), [true, true, true]);
    let (_, first) = ask(0, "/hold").unwrap();
    let (_, second) = ask(0, "/hold").unwrap();
    assert!(first.places.are_held() && second.places.are_held());
    assert!(!passes(0, "/hold"));
    assert!(passes(1, "/hold"));
    first.places.free();
    assert!(passes(0, "/hold"));
}

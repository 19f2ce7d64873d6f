//! The life of an app: what has an effect when, and what an end leaves.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mortise_host::plugin_api::prelude::*;
use serde_json::json;
use tokio::sync::Notify;

use super::{answer, app, get, post, started};

const SECTIONS: &str = r#"
[agents.plain]
model = "scripted/fake-1"
"#;

/// What the plugin `Witness` was called for; a test has a process, or a name, of its own.
static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static GUARDED: AtomicUsize = AtomicUsize::new(0);
static STEPS: AtomicUsize = AtomicUsize::new(0);

struct Witness {
    name: String,
    fails: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Settings {
    #[serde(default)]
    fails: bool,
}

impl Witness {
    fn note(&self, what: &str) {
        let mut calls = CALLS.lock().expect("nobody panics with it");
        calls.push(format!("{} {what}", self.name));
    }
}

impl Plugin for Witness {
    type Config = Settings;
    const NAME: &'static str = "witness";
    const VERSION: &'static str = "0.1.0";

    fn create(config: Settings, host: Host) -> Result<Self> {
        let name = host.instance().to_owned();
        let fails = config.fails;
        let witness = Self { name, fails };
        witness.note("create");
        Ok(witness)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(Counter);
    }

    async fn start(&self) -> Result<()> {
        self.note("start");
        if self.fails {
            return Err(Error::internal("no database"));
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        self.note("shutdown");
        Ok(())
    }
}

struct Counter;

impl Hook for Counter {
    fn info(&self) -> HookInfo {
        HookInfo::new("counter")
            .on(Stage::Guard)
            .answers_at_once()
            .on(Stage::Step)
    }

    fn guard_now(&self, _request: &Request) -> Result<GuardVerdict> {
        GUARDED.fetch_add(1, Ordering::Relaxed);
        Ok(GuardVerdict::Pass)
    }

    async fn step(&self, _run: RunContext, _step: StepInput) -> Result<StepChange> {
        STEPS.fetch_add(1, Ordering::Relaxed);
        Ok(StepChange::default())
    }
}

fn calls_of(name: &str) -> Vec<String> {
    let calls = CALLS.lock().expect("nobody panics with it");
    let own = calls.iter().filter_map(|call| call.strip_prefix(name));
    own.map(|call| call.trim().to_owned()).collect()
}

#[tokio::test]
async fn plugins_start_with_the_app_and_are_shut_down_once_at_its_end() {
    let built = app(SECTIONS)
        .plugin::<Witness>("whole", json!({}))
        .build()
        .await
        .expect("it can be built");
    assert_eq!(calls_of("whole "), ["create"]);

    let app = built.start().await.expect("it starts");
    assert_eq!(calls_of("whole "), ["create", "start"]);

    let other = app.clone();
    tokio::join!(app.stop(), other.stop());
    app.stop().await;
    assert_eq!(calls_of("whole "), ["create", "start", "shutdown"]);
}

#[tokio::test]
async fn an_app_that_is_let_go_never_started() {
    let built = app(SECTIONS)
        .plugin::<Witness>("idle", json!({}))
        .build()
        .await
        .expect("it can be built");
    built.discard().await;
    assert_eq!(calls_of("idle "), ["create"]);
}

#[tokio::test]
async fn a_plugin_that_does_not_start_ends_those_before_it() {
    let built = app(SECTIONS)
        .plugin::<Witness>("first", json!({}))
        .plugin::<Witness>("second", json!({ "fails": true }))
        .plugin::<Witness>("third", json!({}))
        .build()
        .await
        .expect("it can be built");
    let error = built.start().await.expect_err("the second fails");
    assert!(error.to_string().contains("no database"), "{error}");
    assert_eq!(calls_of("first "), ["create", "start", "shutdown"]);
    assert_eq!(calls_of("second "), ["create", "start", "shutdown"]);
    assert_eq!(calls_of("third "), ["create"]);
}

#[tokio::test]
async fn guards_are_asked_for_requests_and_steps_for_every_run() {
    let app = app(SECTIONS)
        .plugin::<Witness>("door", json!({}))
        .build()
        .await
        .expect("it can be built")
        .start()
        .await
        .expect("it starts");

    app.run("plain", "hi").await.expect("it runs");
    assert_eq!(
        (
            GUARDED.load(Ordering::Relaxed),
            STEPS.load(Ordering::Relaxed)
        ),
        (0, 1)
    );
    let run = post("/plain/run", &json!({ "input": "hi" }));
    assert_eq!(answer(&app, run).await.0, 200);
    assert_eq!(
        (
            GUARDED.load(Ordering::Relaxed),
            STEPS.load(Ordering::Relaxed)
        ),
        (1, 2)
    );
    app.stop().await;
}

#[tokio::test]
async fn at_the_end_runs_are_aborted_and_nothing_is_begun() {
    let app = started(&format!("[server]\nshutdown_grace = \"1s\"\n{SECTIONS}")).await;
    let stream = app.stream("plain", "slow").await.expect("it starts");

    app.stop().await;

    let error = stream.result.await.unwrap_err();
    assert_eq!(error.code(), Some("ABORTED"));
    for refused in [
        app.run("plain", "hi").await.map(drop),
        app.stream("plain", "hi").await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), Some("UNAVAILABLE"));
    }
    let (status, body) = answer(&app, get("/-/agents")).await;
    assert_eq!((status, &body["code"]), (503, &json!("UNAVAILABLE")));
}

#[tokio::test]
async fn a_run_goes_on_while_its_events_or_its_result_are_waited_for() {
    let app = started(SECTIONS).await;

    let stream = app.stream("plain", "hi").await.expect("it starts");
    drop(stream.events);
    assert!(stream.result.await.is_ok());

    let stream = app.stream("plain", "hi").await.expect("it starts");
    drop(stream.result);
    let mut events = stream.events;
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event.expect("the events can be read").event);
    }
    assert_eq!(
        last.map(|it| it.kind().to_owned()).as_deref(),
        Some("RUN_FINISHED")
    );
    app.stop().await;
}

#[tokio::test]
async fn dropping_a_run_that_is_waited_for_aborts_it() {
    let app = app(SECTIONS)
        .plugin::<Ends>("ends", json!({}))
        .build()
        .await
        .expect("it can be built")
        .start()
        .await
        .expect("it starts");
    let mut running = Box::pin(app.run("waiter", ""));
    tokio::select! {
        ended = &mut running => panic!("it has ended: {ended:?}"),
        () = BEGUN.notified() => drop(running),
    }
    ENDED.notified().await;
    app.stop().await;
}

#[test]
fn a_response_may_be_dropped_where_no_runtime_is() {
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    let app = runtime.block_on(async {
        let built = app(SECTIONS).plugin::<Hears>("hears", json!({})).build();
        let built = built.await.expect("it can be built");
        built.start().await.expect("it starts")
    });

    drop(runtime.block_on(app.handle(get("/livez"))));

    runtime.block_on(async {
        HEARD.notified().await;
        app.stop().await;
    });
}

static HEARD: Notify = Notify::const_new();

/// Hears when a response was sent.
struct Hears;

impl Plugin for Hears {
    type Config = NoConfig;
    const NAME: &'static str = "hears";
    const VERSION: &'static str = "0.1.0";

    fn create(_config: NoConfig, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(Self);
    }
}

impl Hook for Hears {
    fn info(&self) -> HookInfo {
        HookInfo::new("hears").on(Stage::Completed)
    }

    async fn completed(&self, _sent: Completed) -> Result<()> {
        HEARD.notify_one();
        Ok(())
    }
}

static BEGUN: Notify = Notify::const_new();
static ENDED: Notify = Notify::const_new();

/// An agent that waits until it is told to stop.
struct Ends;

impl Plugin for Ends {
    type Config = NoConfig;
    const NAME: &'static str = "ends";
    const VERSION: &'static str = "0.1.0";

    fn create(_config: NoConfig, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.agent(Waiter);
    }
}

struct Waiter;

impl Agent for Waiter {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("waiter", "Waits until it is told to stop")
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        BEGUN.notify_one();
        run.cancelled().await;
        ENDED.notify_one();
        Err(Error::aborted("told to stop"))
    }
}

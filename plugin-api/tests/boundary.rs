//! The boundary from both sides: a plugin that is linked in, created as a library's would be, and
//! a host that is made of the types that cross.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod fake;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use mortise_plugin_api::ffi::abi::stable::{ROption, RStr, RString};
use mortise_plugin_api::ffi::abi::{AbiBytes, AbiError, PluginObject};
use mortise_plugin_api::ffi::{self, convert, stream};
use mortise_plugin_api::prelude::*;

use self::fake::{FakeRun, block_on, create_request, try_poll};

/// Does whatever its arguments say, mostly the worst.
struct Rogue {
    bomb: Option<Bomb>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
struct Config {
    panic_in_create: bool,
    panic_in_drop: bool,
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb was dropped");
    }
}

/// Spawns a task when it is dropped.
struct Farewell;

static FAREWELLS: AtomicUsize = AtomicUsize::new(0);

impl Drop for Farewell {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "this is what is tested")]
        let _task = tokio::spawn(async {});
        FAREWELLS.fetch_add(1, Ordering::SeqCst);
    }
}

impl Plugin for Rogue {
    type Config = Config;
    const NAME: &'static str = "rogue";
    const VERSION: &'static str = "0.1.0";

    fn create(config: Config, _host: Host) -> Result<Self> {
        assert!(!config.panic_in_create, "no instance today");
        Ok(Self {
            bomb: config.panic_in_drop.then(|| Bomb),
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        let _clock = tokio::time::interval(Duration::from_secs(1));
        registrar
            .agent(Rogue {
                bomb: self.bomb.as_ref().map(|_| Bomb),
            })
            .tool(RogueTool)
            .tool(PanicsInInfo)
            .tool(SaysFarewell)
            .model(RogueModel)
            .hook(RogueHook);
    }
}

impl Agent for Rogue {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("rogue", "")
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        run.emit_data(None, json!("before")).await?;
        let outcome = run.call_tool("other", json!({ "n": input.len() })).await?;
        run.emit_data(None, outcome.result).await?;
        run.say("after").await?;
        Ok(RunResult::text("done"))
    }
}

struct RogueTool;

impl Tool for RogueTool {
    fn info(&self) -> ToolInfo {
        ToolInfo::new::<NoConfig>("rogue", "")
    }

    // Not an `async fn`: the call itself may panic, before there is a future.
    fn call(
        &self,
        run: RunContext,
        arguments: Value,
    ) -> impl Future<Output = Result<Value>> + Send {
        assert_ne!(arguments, json!("panic at once"), "at once");
        async move {
            match arguments.as_str() {
                Some("panic in poll") => {
                    tokio::task::yield_now().await;
                    panic!("in poll");
                }
                Some("hold a bomb") => {
                    let _held = Bomb;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Some("whose run") => return Ok(json!(run.info().run_id)),
                Some("context") => return Ok(json!([run.context(), run.clone().context()])),
                Some("sleep") => tokio::time::sleep(Duration::from_millis(5)).await,
                Some("wait") => run.cancelled().await,
                Some("refuse") => {
                    return Err(Error::new("CONFLICT", "not now")
                        .with_retryable(true)
                        .with_status(423)
                        .with_context("shelf", 7)
                        .with_issue("/shelf", "is full"));
                }
                Some("log") => log_something(),
                Some("leave a task") => {
                    #[expect(clippy::disallowed_methods, reason = "this is what is tested")]
                    let task = tokio::spawn(async { panic!("nobody waits for it") });
                    assert!(task.await.is_err());
                }
                _ => {}
            }
            Ok(json!("done"))
        }
    }
}

fn log_something() {
    let span = tracing::info_span!(target: "rogue", "shelf", name = "history", late = tracing::field::Empty);
    let entered = span.enter();
    span.record("late", 3_u64);
    tracing::info!(target: "rogue", books = -2, ok = true, title = "Emma", "lent {}", 1);
    tracing::debug!(target: "rogue", "nobody reads this");
    tracing::info!(target: "rogue", parent: None, "alone");
    drop(entered);
    tracing::info!(target: "rogue", "outside");
}

struct PanicsInInfo;

impl Tool for PanicsInInfo {
    fn info(&self) -> ToolInfo {
        panic!("no information");
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(Value::Null)
    }
}

struct SaysFarewell;

impl Tool for SaysFarewell {
    fn info(&self) -> ToolInfo {
        ToolInfo::new::<NoConfig>("farewell", "")
    }

    // Not an `async fn`: its values would be dropped by its last poll.
    fn call(&self, _: RunContext, _: Value) -> impl Future<Output = Result<Value>> + Send {
        let farewell = Farewell;
        std::future::poll_fn(move |_| {
            let _held = &farewell;
            Poll::Ready(Ok(json!("done")))
        })
    }
}

struct RogueModel;

impl Model for RogueModel {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("rogue")
    }

    async fn generate(&self, _run: RunContext, _request: ModelRequest) -> Result<ChunkStream> {
        let mut left = 2;
        Ok(ChunkStream::new(futures_util::stream::poll_fn(move |_| {
            left -= 1;
            assert!(left > 0, "out of words");
            Poll::Ready(Some(Ok(Chunk::text("word"))))
        })))
    }
}

struct RogueHook;

impl Hook for RogueHook {
    fn info(&self) -> HookInfo {
        HookInfo::new("rogue").on(Stage::Event)
    }

    async fn event(&self, _run: RunContext, _event: Event) -> Result<EventVerdict> {
        Ok(EventVerdict::Hold)
    }

    async fn release(&self, _run: RunContext, held: Vec<Event>) -> Result<Vec<Event>> {
        Ok(held.into_iter().take(1).collect())
    }
}

fn plugin(config: &Value) -> Result<PluginObject, AbiError> {
    ffi::create::<Rogue>(create_request("rogue", config)).into_result()
}

fn call_tool(arguments: &str) -> Result<Value, AbiError> {
    let plugin = plugin(&json!({})).unwrap();
    let tool = &plugin.tools()[0];
    let arguments = AbiBytes::from(json!(arguments).to_string());
    let result = block_on(tool.call(FakeRun::object(), arguments)).into_result()?;
    Ok(serde_json::from_slice(result.as_slice()).unwrap())
}

#[track_caller]
fn assert_panic(error: &AbiError, message: &str) {
    assert_eq!(error.code, "PANIC");
    assert!(error.message.contains("tests/boundary.rs:"), "{error:?}");
    assert!(error.message.contains(message), "{error:?}");
    assert!(!error.retryable);
}

#[test]
fn a_panic_in_create_is_an_error() {
    let error = plugin(&json!({ "panic_in_create": true })).err().unwrap();
    assert_panic(&error, "no instance today");
}

#[test]
fn a_configuration_that_does_not_fit_is_an_error() {
    let error = plugin(&json!({ "panic_in_create": 7 })).err().unwrap();
    assert_eq!(error.code, "CONFIG");
    assert!(
        error.details.contains("/panic_in_create"),
        "{}",
        error.details
    );
}

#[test]
fn a_panic_in_the_call_of_a_tool_is_an_error() {
    assert_panic(&call_tool("panic at once").unwrap_err(), "at once");
}

#[test]
fn a_panic_in_a_poll_is_an_error() {
    assert_panic(&call_tool("panic in poll").unwrap_err(), "in poll");
}

#[test]
fn a_panic_in_the_drop_of_a_held_value_is_an_error() {
    let error = call_tool("hold a bomb").unwrap_err();
    assert_panic(&error, "the bomb was dropped");
}

#[test]
fn a_panic_in_the_drop_of_a_future_or_an_instance_is_contained() {
    let instance = plugin(&json!({ "panic_in_drop": true })).unwrap();
    let arguments = AbiBytes::from(json!("hold a bomb").to_string());
    let mut held = instance.tools()[0].call(FakeRun::object(), arguments);
    assert!(try_poll(&mut held).is_none());
    drop(held);
    drop(instance);
}

#[test]
fn a_panic_in_info_is_told_to_the_host() {
    let plugin = plugin(&json!({})).unwrap();
    let info: Value = serde_json::from_str(&plugin.tools()[1].info()).unwrap();
    let error = info["error"].as_str().unwrap();
    assert!(error.ends_with("no information"), "{error}");
}

#[test]
fn a_panic_in_a_stream_is_its_last_item() {
    let plugin = plugin(&json!({})).unwrap();
    let request = AbiBytes::from("{}".to_owned());
    let chunks = block_on(plugin.models()[0].generate(FakeRun::object(), request));
    let mut chunks = stream::chunks_from_abi(chunks.into_result().unwrap());
    assert_eq!(block_on(chunks.next()), Some(Ok(Chunk::text("word"))));
    let error = block_on(chunks.next()).unwrap().unwrap_err();
    assert!(error.is_panic() && error.message().contains("out of words"));
    assert_eq!(block_on(chunks.next()), None);
}

#[test]
fn an_error_crosses_with_all_it_knows() {
    let error = convert::error_from_abi(call_tool("refuse").unwrap_err());
    assert_eq!(error.code(), Some("CONFLICT"));
    assert_eq!(error.message(), "not now");
    assert!(error.is_retryable());
    assert_eq!(error.status(), 423);
    assert_eq!(error.context().unwrap()["shelf"], 7);
    assert_eq!(error.issues()[0].path, "/shelf");
}

#[test]
fn a_plugin_finds_a_tokio_runtime_where_the_host_has_none() {
    assert!(tokio::runtime::Handle::try_current().is_err());
    assert_eq!(call_tool("sleep"), Ok(json!("done")));
}

#[test]
fn what_is_dropped_finds_the_runtime_too() {
    let plugin = plugin(&json!({})).unwrap();
    let called = plugin.tools()[2].call(FakeRun::object(), AbiBytes::from("{}".to_owned()));
    assert!(block_on(called).into_result().is_ok());
    assert_eq!(FAREWELLS.load(Ordering::SeqCst), 1);

    let farewell = Farewell;
    let chunks = futures_util::stream::poll_fn(move |_| {
        let _held = &farewell;
        Poll::Pending
    });
    drop(stream::body_to_abi(Body::from_stream(chunks)));
    assert_eq!(FAREWELLS.load(Ordering::SeqCst), 2);
}

#[test]
fn bytes_whose_owner_panics_in_its_drop_end_nothing() {
    struct Owner(Bomb);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"tick"
        }
    }
    drop(AbiBytes::from(Bytes::from_owner(Owner(Bomb))));
}

#[test]
fn a_panic_in_a_task_of_the_plugin_is_logged() {
    assert_eq!(call_tool("leave a task"), Ok(json!("done")));
    let logged = fake::logged("mortise_plugin_api::ffi::guard");
    let [line] = &logged[..] else {
        panic!("one line: {logged:?}");
    };
    assert!(line.contains("a task of the plugin panicked at plugin-api/tests/boundary.rs:"));
    assert!(
        line.ends_with(r#"nobody waits for it plugin="rogue""#),
        "{line}"
    );
}

#[test]
fn the_runtime_starts_again_after_the_last_instance() {
    for _ in 0..3 {
        assert_eq!(call_tool("sleep"), Ok(json!("done")));
    }
}

#[test]
fn events_and_calls_of_a_run_keep_their_order() {
    let plugin = plugin(&json!({})).unwrap();
    let run = Arc::new(FakeRun::default());
    let input = AbiBytes::from(json!([Item::user("hello")]).to_string());
    let result = block_on(plugin.agents()[0].run(FakeRun::object_of(&run), input));
    let result: RunResult = convert::from_json(&result.into_result().unwrap()).unwrap();
    assert_eq!(result, RunResult::text("done"));
    assert_eq!(
        run.seen(),
        [
            r#"emit "before""#,
            r#"call run.call_tool {"name":"other","arguments":{"n":1}}"#,
            r#"emit "called""#,
            r#"call run.say {"text":"after"}"#,
        ]
    );
}

#[test]
fn the_context_of_a_run_crosses_once_and_only_for_whom_it_is() {
    let tool = &plugin(&json!({})).unwrap().tools()[0];
    for (wanted, told, seen) in [
        ("whose run", json!("run_1"), &[][..]),
        ("context", json!([{ "n": 1 }, { "n": 1 }]), &["context"]),
    ] {
        let run = Arc::new(FakeRun::default());
        let arguments = AbiBytes::from(json!(wanted).to_string());
        let result = block_on(tool.call(FakeRun::object_of(&run), arguments));
        let result: Value = convert::from_json(&result.into_result().unwrap()).unwrap();
        assert_eq!(
            (result, run.seen()),
            (told, seen.iter().map(|it| (*it).to_owned()).collect())
        );
    }
}

#[test]
fn a_future_that_is_dropped_drops_what_it_waits_for() {
    let plugin = plugin(&json!({})).unwrap();
    let run = Arc::new(FakeRun::default());
    let arguments = AbiBytes::from(json!("wait").to_string());
    let mut call = plugin.tools()[0].call(FakeRun::object_of(&run), arguments);
    assert!(try_poll(&mut call).is_none());
    assert!(run.is_waited_for());
    drop(call);
    assert!(!run.is_waited_for());
}

#[test]
fn a_cancelled_run_wakes_who_waits_for_it() {
    let plugin = plugin(&json!({})).unwrap();
    let run = Arc::new(FakeRun::default());
    let arguments = AbiBytes::from(json!("wait").to_string());
    let mut call = plugin.tools()[0].call(FakeRun::object_of(&run), arguments);
    assert!(try_poll(&mut call).is_none());
    run.cancel();
    assert!(try_poll(&mut call).unwrap().is_ok());
}

#[test]
fn held_events_are_released_through_a_stage() {
    let plugin = plugin(&json!({})).unwrap();
    let hook = &plugin.hooks()[0];
    let event = Event::data(None, json!(1));
    let verdict = block_on(hook.event(
        FakeRun::object(),
        convert::event_to_abi(event.clone()).unwrap(),
    ));
    let verdict = convert::event_verdict_from_abi(verdict.into_result().unwrap()).unwrap();
    assert_eq!(verdict, EventVerdict::Hold);

    let held = convert::to_json(&[event.clone(), Event::data(None, json!(2))]).unwrap();
    let run = ROption::RSome(FakeRun::object());
    let shown = block_on(hook.stage(RStr::from_str("release"), run, held));
    let shown: Vec<Event> = convert::from_json(&shown.into_result().unwrap()).unwrap();
    assert_eq!(shown, [event]);
}

#[test]
fn a_stage_that_the_sdk_does_not_know_is_unavailable() {
    let plugin = plugin(&json!({})).unwrap();
    let payload = AbiBytes::empty();
    let answer = plugin.hooks()[0].stage("later".into(), ROption::RNone, payload);
    let error = block_on(answer).into_result().unwrap_err();
    assert_eq!(error.code, "UNAVAILABLE");
}

#[test]
fn log_lines_and_spans_become_the_hosts() {
    assert_eq!(call_tool("log"), Ok(json!("done")));
    assert_eq!(
        fake::logged("rogue"),
        [
            r#"open shelf in 0: name="history""#,
            r"record: late=3",
            r#"event in shelf: message=lent 1 books=-2 ok=true title="Emma""#,
            r"event in none: message=alone",
            r"event in 0: message=outside",
            r"close shelf",
        ]
    );
}

#[test]
fn the_schema_of_the_configuration_is_json() {
    let schema: RString = ffi::config_schema::<Rogue>();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["properties"]["panic_in_drop"]["type"], "boolean");
}

/// Has one tool from the start, and a second one later.
struct Growing {
    tools: Toolset,
}

struct Named(&'static str);

impl Tool for Named {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments(self.0, "").with_path(format!("group.{}", self.0))
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(self.0.into())
    }
}

impl Plugin for Growing {
    type Config = NoConfig;
    const NAME: &'static str = "growing";
    const VERSION: &'static str = "0.1.0";

    fn create(_config: NoConfig, host: Host) -> Result<Self> {
        let tools = Toolset::new(host);
        Ok(Self { tools })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.tool(Named("first")).toolset(&self.tools);
    }

    async fn start(&self) -> Result<()> {
        self.tools.replace([Named("second")]).await
    }
}

fn growing(instance: &str) -> PluginObject {
    let created = ffi::create::<Growing>(create_request(instance, &json!({})));
    created.into_result().unwrap()
}

fn paths(plugin: &PluginObject) -> Vec<String> {
    let tools = plugin.tools();
    let infos = tools
        .iter()
        .map(|tool| serde_json::from_str(&tool.info()).unwrap());
    infos.map(|info: ToolInfo| info.path.unwrap()).collect()
}

#[test]
fn tools_of_a_toolset_cross_when_they_are_asked_for_again() {
    let growing = growing("growing");
    assert!(growing.has_toolsets());
    assert_eq!(paths(&growing), ["group.first"]);
    block_on(growing.start()).into_result().unwrap();
    assert_eq!(paths(&growing), ["group.first", "group.second"]);
    assert!(!plugin(&json!({})).unwrap().has_toolsets());
}

#[test]
fn a_toolset_that_the_host_refuses_stays_as_it_was() {
    let refused = growing("refused");
    assert!(block_on(refused.start()).into_result().is_err());
    assert_eq!(paths(&refused), ["group.first"]);
}

//! The fake is as strict as the server where a plugin would notice.

use crate::prelude::*;
use crate::testing::{FakeHost, FakeRequest, Loaded};

struct Strict;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    #[schemars(range(min = 2))]
    sides: u64,
    names: Names,
    extras: Extras,
}

/// Does not say `deny_unknown_fields`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Extras {
    _note: String,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Names {
    #[schemars(length(max = 3))]
    _short: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sides: 6,
            names: Names::default(),
            extras: Extras::default(),
        }
    }
}

impl Plugin for Strict {
    type Config = Settings;
    const NAME: &'static str = "strict";
    const VERSION: &'static str = "0.1.0";

    fn create(config: Settings, _host: Host) -> Result<Self> {
        assert!(config.sides >= 2, "the schema says so");
        let _ = (config.names, config.extras);
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar
            .agent(Caller)
            .tool(Fail("listed"))
            .tool(Fail("unlisted"))
            .tool(Fail("fatal"))
            .hook(Watcher);
    }
}

/// Does what its input says.
struct Caller;

impl Agent for Caller {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("caller", "Calls")
            .with_tool("listed")
            .with_tool("strict.fatal")
            .with_output_schema(json!({ "type": "object", "required": ["found"] }))
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let said = input.last().map(Item::text).unwrap_or_default();
        match said.split_once(' ') {
            Some(("call", tool)) => {
                let outcome = run.call_tool(tool, json!({})).await?;
                Ok(RunResult::text(format!("failed: {}", outcome.is_error)))
            }
            Some(("emit", kind)) => {
                let event = json!({
                    "type": kind, "runId": "r", "agentName": "caller", "timestamp": 1,
                    "result": RunResult::text("done"),
                });
                run.emit(serde_json::from_value(event)?).await?;
                Ok(RunResult::text("emitted"))
            }
            _ if said == "answer" => Ok(RunResult {
                structured: Some(json!({ "lost": true })),
                ..RunResult::text("found nothing")
            }),
            _ => {
                run.emit(Event::Custom(json!({ "kind": "none" }))).await?;
                Ok(RunResult::text("emitted"))
            }
        }
    }
}

struct Fail(&'static str);

impl Tool for Fail {
    fn info(&self) -> ToolInfo {
        let info = ToolInfo::without_arguments(self.0, "Fails");
        match self.0 {
            "fatal" => info.with_error_mode(ToolErrorMode::Throw),
            _ => info,
        }
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Err(Error::new("CONFLICT", "it always fails"))
    }
}

/// Filters steps, is told of texts, and says who asks without being asked.
struct Watcher;

impl Hook for Watcher {
    fn info(&self) -> HookInfo {
        HookInfo::new("watcher")
            .on(Stage::Guard)
            .on(Stage::Observe)
            .events(&["STEP_START"])
            .observes(&["TEXT_MESSAGE_END"])
            .answers_at_once()
    }

    fn guard_now(&self, _request: &Request) -> Result<GuardVerdict> {
        Ok(GuardVerdict::Authenticated(Principal::new("ann")))
    }

    async fn observe(&self, _observation: Observation) -> Result<()> {
        Err(Error::new("CONFLICT", "told"))
    }
}

fn strict() -> Loaded {
    FakeHost::new("strict").load::<Strict>(json!({})).unwrap()
}

async fn code_of(input: &str) -> Option<String> {
    let ran = strict().run_agent("caller", input).await;
    ran.result.unwrap_err().code().map(str::to_owned)
}

#[test]
fn a_setting_that_the_schema_does_not_allow_is_refused() {
    let host = FakeHost::new("strict");
    let error = host.load::<Strict>(json!({ "sides": 1 })).unwrap_err();
    assert_eq!(error.issues()[0].path, "/sides");
    let nested = json!({ "names": { "_short": "long" } });
    let error = host.load::<Strict>(nested).unwrap_err();
    assert_eq!(error.issues()[0].path, "/names/_short");
}

#[test]
fn a_key_that_is_not_known_is_refused_where_the_type_says_so() {
    let host = FakeHost::new("strict");
    let error = host.load::<Strict>(json!({ "side": 4 })).unwrap_err();
    assert!(error.message().contains("has no `side`"), "{error}");
    let lenient = json!({ "extras": { "unheard": 1 } });
    assert!(host.load::<Strict>(lenient).is_ok());
}

#[tokio::test]
async fn an_agent_calls_what_it_lists() {
    let ran = strict().run_agent("caller", "call listed").await;
    assert_eq!(ran.result.unwrap(), RunResult::text("failed: true"));
    assert_eq!(code_of("call unlisted").await.as_deref(), Some("NOT_FOUND"));
}

#[tokio::test]
async fn a_tool_that_throws_fails_the_run() {
    assert_eq!(code_of("call fatal").await.as_deref(), Some("CONFLICT"));
}

#[tokio::test]
async fn a_structured_result_fits_its_schema() {
    let failed = code_of("answer").await;
    assert_eq!(failed.as_deref(), Some("VALIDATION_FAILED"));
}

#[tokio::test]
async fn only_the_host_ends_a_run_and_an_event_has_a_type() {
    assert_eq!(
        code_of("emit RUN_FINISHED").await.as_deref(),
        Some("BAD_REQUEST")
    );
    assert_eq!(code_of("typeless").await.as_deref(), Some("BAD_REQUEST"));
    let ran = strict().run_agent("caller", "emit NOTED").await;
    assert_eq!(ran.kinds(), ["NOTED"]);
}

#[tokio::test]
async fn an_observer_is_told_of_what_it_observes() {
    let watcher = strict().hook("watcher");
    let event = |kind| Event::Custom(json!({ "type": kind }));
    assert!(watcher.observe_event(event("STEP_START")).await.is_ok());
    assert!(
        watcher
            .observe_event(event("TEXT_MESSAGE_END"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_guard_that_does_not_authenticate_knows_nobody() {
    let watcher = strict().hook("watcher");
    assert!(watcher.guard(FakeRequest::get("/")).await.is_err());
}

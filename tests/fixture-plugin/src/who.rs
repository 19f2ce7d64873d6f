//! Who is asking, as far as an agent, a tool, an endpoint and hooks know.

use std::sync::{Arc, Mutex, PoisonError};

use mortise_plugin_api::prelude::*;

/// Where it was heard, and the principal.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Value>>>);

struct Listener {
    heard: Heard,
}

struct WhoAgent;

struct WhoTool;

pub(crate) fn register(registrar: &mut Registrar) {
    let heard = Heard::default();
    let shown = heard.clone();
    registrar
        .hook(Listener { heard })
        .agent(WhoAgent)
        .tool(WhoTool)
        .mount(
            Mount::below_base("/who")
                .endpoint(Endpoint::get("/", |call| async move {
                    Response::json(&json!(call.request.principal()))
                }))
                .endpoint(
                    Endpoint::get("/heard", move |_| {
                        let response = Response::json(&shown.all());
                        async { response }
                    })
                    .public(),
                ),
        );
}

impl Agent for WhoAgent {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("who", "Says who is asking")
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        tracing::info!("the agent runs");
        Ok(RunResult::text(json!(run.info().principal).to_string()))
    }
}

impl Tool for WhoTool {
    fn info(&self) -> ToolInfo {
        ToolInfo::of_schema("who", "Says who is asking", json!({ "type": "object" }))
    }

    async fn call(&self, run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(json!(run.info().principal))
    }
}

impl Hook for Listener {
    fn info(&self) -> HookInfo {
        HookInfo::new("listener")
            .on(Stage::Guard)
            .on(Stage::BeforeModel)
            .on(Stage::BeforeTool)
            .on(Stage::Event)
            .events(&["RUN_FINISHED"])
            .on(Stage::Completed)
            .on(Stage::Observe)
            .answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        self.heard.add("guard", request.principal());
        Ok(GuardVerdict::Pass)
    }

    async fn before_model(
        &self,
        run: RunContext,
        _request: ModelRequest,
    ) -> Result<Option<ModelRequest>> {
        self.heard.add("before_model", run.info().principal.clone());
        Ok(None)
    }

    async fn before_tool(&self, run: RunContext, _call: ToolCall) -> Result<BeforeTool> {
        self.heard.add("before_tool", run.info().principal.clone());
        Ok(BeforeTool::Continue)
    }

    async fn event(&self, run: RunContext, _event: Event) -> Result<EventVerdict> {
        self.heard.add("event", run.info().principal.clone());
        Ok(EventVerdict::Keep)
    }

    async fn completed(&self, completed: Completed) -> Result<()> {
        // Those who ask what was heard are nobody's business.
        if completed.agent.is_some() {
            self.heard.add("completed", completed.principal);
        }
        Ok(())
    }

    async fn observe(&self, observation: Observation) -> Result<()> {
        match observation {
            Observation::Request(request) if request.agent.is_some() => {
                self.heard.add("request", request.principal);
            }
            Observation::Event {
                run,
                event: Event::RunFinished { .. },
            } => self.heard.add("observe", run.info().principal.clone()),
            _ => {}
        }
        Ok(())
    }
}

// === impl Heard ===

impl Heard {
    fn all(&self) -> Vec<Value> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, place: &str, principal: impl Into<Option<Principal>>) {
        let principal: Option<Principal> = principal.into();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(json!([place, principal]));
    }
}

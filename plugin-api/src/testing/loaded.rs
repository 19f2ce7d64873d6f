//! An instance of a plugin under test.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::host::FakeHost;
use super::run::{FakeRun, Ran};
use super::{FakeRequest, LoadedHook, routes};
use crate::agent::AgentInfo;
use crate::backend::BoxFuture;
use crate::endpoint::EndpointCall;
use crate::error::{Error, Result};
use crate::hook::GuardVerdict;
use crate::host::Host;
use crate::message::Item;
use crate::model::{Chunk, ModelRequest};
use crate::mount::Access;
use crate::plugin::{Plugin, Registrar, read_config, schema_of};
use crate::response::Response;
use crate::run::{RunContext, RunInfo};
use crate::run_request::RunRequest;
use crate::schema::Schema;
use crate::tool::{ApprovalDecision, ToolInfo};

/// An instance of a plugin under test.
pub struct Loaded {
    fake: FakeHost,
    host: Host,
    plugin: Arc<dyn DynPlugin>,
    registrar: Arc<Registrar>,
}

/// [`Plugin`], as an object.
trait DynPlugin: Send + Sync {
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<()>>;
    fn shutdown(self: Arc<Self>) -> BoxFuture<'static, Result<()>>;
}

impl<P: Plugin> DynPlugin for P {
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { Plugin::start(&*self).await })
    }

    fn shutdown(self: Arc<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { Plugin::shutdown(&*self).await })
    }
}

pub(super) fn load<P: Plugin>(fake: &FakeHost, config: Value) -> Result<Loaded> {
    let schema = schema_of::<P::Config>();
    check("the configuration", &schema, &config)?;
    let config: P::Config = read_config(config)?;
    let created = Arc::new(AtomicBool::new(false));
    let host = fake.host_after(Arc::clone(&created));
    let plugin = P::create(config, host.clone())?;
    let mut registrar = Registrar::new(host.clone());
    plugin.register(&mut registrar);
    created.store(true, Ordering::Relaxed);
    Ok(Loaded {
        fake: fake.clone(),
        host,
        plugin: Arc::new(plugin),
        registrar: Arc::new(registrar),
    })
}

/// A value that its schema does not allow is an error, as it is on the server.
fn check(what: &str, schema: &Value, value: &Value) -> Result<()> {
    let schema = Schema::compile(schema)?;
    let Err(issues) = schema.validate(value) else {
        return Ok(());
    };
    let said: Vec<String> = issues
        .iter()
        .map(|issue| {
            let at = &issue.instance_path;
            match issue.params["additionalProperty"].as_str() {
                Some(key) => format!("{at} has no `{key}`"),
                None => format!("{at} {}", issue.message),
            }
        })
        .collect();
    let message = format!("{what} does not fit its schema: {}", said.join("; "));
    let refused = Error::invalid(message);
    Err(issues.into_iter().fold(refused, |refused, issue| {
        refused.with_issue(issue.instance_path, issue.message)
    }))
}

// === impl Loaded ===

impl Loaded {
    /// Calls [`Plugin::start`].
    pub async fn start(&self) -> Result<()> {
        Arc::clone(&self.plugin).start().await
    }

    /// Calls [`Plugin::shutdown`].
    pub async fn shutdown(&self) -> Result<()> {
        Arc::clone(&self.plugin).shutdown().await
    }

    /// The host as the plugin sees it.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The info of each agent.
    pub fn agents(&self) -> Vec<AgentInfo> {
        let agents = self.registrar.agents.iter();
        agents.map(|agent| agent.info()).collect()
    }

    /// The info of each tool that there is now.
    pub fn tools(&self) -> Vec<ToolInfo> {
        let tools = self.registrar.all_tools().into_iter();
        tools.map(|tool| tool.info()).collect()
    }

    /// Runs an agent with a text or a list of items.
    ///
    /// # Panics
    /// When the plugin has no such agent, or the input is neither.
    pub async fn run_agent(&self, name: &str, input: impl Into<Value>) -> Ran {
        self.run(RunRequest::new(name, input)).await
    }

    /// Runs an agent with context, conversation and principal.
    ///
    /// # Panics
    /// When the plugin has no such agent, or the input is neither a text nor a list of items.
    pub async fn run(&self, request: RunRequest) -> Ran {
        let mut agents = self.registrar.agents.iter();
        let agent = agents
            .find(|agent| agent.info().name == request.agent)
            .unwrap_or_else(|| panic!("the plugin has no agent '{}'", request.agent));
        let input: Vec<Item> = match request.input {
            Value::String(text) => vec![Item::user(text)],
            items => serde_json::from_value(items).expect("the input is a text or a list of items"),
        };
        let mut info = self.run_info(request.agent);
        info.conversation_id = request.conversation_id;
        info.principal = request.principal.unwrap_or_default();
        let sent = request.context.unwrap_or_default();
        let run = self.fake_run(info).with_context(sent);
        let result = Arc::clone(agent).run(run.context(), input).await;
        let result = result.and_then(|result| {
            let (schema, structured) = (agent.info().output_schema, &result.structured);
            if let (Some(schema), Some(value)) = (schema, structured) {
                check("the structured result", &schema, value)?;
            }
            Ok(result)
        });
        Ran {
            events: run.events(),
            result,
        }
    }

    /// Calls a tool in a run of its own, without validation and approval.
    ///
    /// # Panics
    /// When the plugin has no such tool.
    pub async fn call_tool(&self, name: &str, arguments: Value) -> Result<Value> {
        let tool = self.tool(name);
        tool.call(self.tool_context(), arguments).await
    }

    /// Asks a tool whether this call must be approved.
    ///
    /// # Panics
    /// When the plugin has no such tool.
    pub async fn approval(&self, name: &str, arguments: Value) -> Result<ApprovalDecision> {
        let tool = self.tool(name);
        tool.approval(self.tool_context(), arguments).await
    }

    /// Asks a model and reads its answer to the end.
    ///
    /// # Panics
    /// When the plugin has no such model.
    pub async fn generate(&self, model: &str, request: ModelRequest) -> Vec<Result<Chunk>> {
        let mut models = self.registrar.models.iter();
        let model = models
            .find(|own| own.info().name == model)
            .unwrap_or_else(|| panic!("the plugin has no model '{model}'"));
        let mut stream = match Arc::clone(model).generate(self.context(), request).await {
            Ok(stream) => stream,
            Err(error) => return vec![Err(error)],
        };
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.next().await {
            chunks.push(chunk);
        }
        chunks
    }

    /// The hook of that name.
    ///
    /// # Panics
    /// When the plugin has no such hook.
    pub fn hook(&self, name: &str) -> LoadedHook {
        let mut hooks = self.registrar.hooks.iter();
        let hook = hooks
            .find(|hook| hook.info().name == name)
            .unwrap_or_else(|| panic!("the plugin has no hook '{name}'"));
        LoadedHook::new(Arc::clone(hook), self.fake_run(self.run_info("agent")))
    }

    /// Sends a request to the endpoint that it matches. The base path is `/`; the server's secret
    /// and guards do not apply, but a mount that authenticates by itself does.
    ///
    /// An error is answered as the server would, or as the mount renders it.
    pub async fn call_endpoint(&self, request: FakeRequest) -> Response {
        let route = match routes::find(&self.registrar.mounts, &request) {
            Ok(route) => route,
            Err(refusal) => return *refusal,
        };
        let mut request = request.with_mount(self.host.instance());
        for (name, value) in route.params {
            request = request.with_param(name, value);
        }
        let is_own = route.mount.info.access == Access::Own && !route.endpoint.info.public;
        if let Some(authenticate) = route.mount.authenticate.as_ref().filter(|_| is_own) {
            request = match authenticate(request.clone().request()).await {
                Ok(GuardVerdict::Authenticated(principal)) => request.with_principal(principal),
                Ok(GuardVerdict::Respond(response)) => return response,
                Ok(GuardVerdict::Pass | GuardVerdict::NoCredentials) => {
                    let error = Error::new("UNAUTHORIZED", "the mount does not know who is asking");
                    return routes::answer(route.mount, &error);
                }
                Err(error) => return routes::answer(route.mount, &error),
            };
        }
        let body = request.to_body();
        let call = EndpointCall::new(request.request(), body);
        match (route.endpoint.handle)(call).await {
            Ok(response) => response,
            Err(error) => routes::answer(route.mount, &error),
        }
    }

    /// A run context, for what takes one.
    pub fn context(&self) -> RunContext {
        self.fake_run(self.run_info("agent")).context()
    }

    fn tool(&self, name: &str) -> Arc<dyn crate::ffi::DynTool> {
        let mut tools = self.registrar.all_tools().into_iter();
        tools
            .find(|tool| tool.info().name == name)
            .unwrap_or_else(|| panic!("the plugin has no tool '{name}'"))
    }

    fn tool_context(&self) -> RunContext {
        let mut info = self.run_info("agent");
        info.message_id = Some(self.fake.shared.id("msg"));
        info.tool_call_id = Some(self.fake.shared.id("call"));
        self.fake_run(info).context()
    }

    fn run_info(&self, agent: impl Into<String>) -> RunInfo {
        RunInfo {
            run_id: self.fake.shared.id("run"),
            agent: agent.into(),
            request_id: "req_1".to_owned(),
            ..RunInfo::default()
        }
    }

    fn fake_run(&self, info: RunInfo) -> FakeRun {
        FakeRun::new(
            Arc::clone(&self.fake.shared),
            Arc::clone(&self.registrar),
            self.host.clone(),
            info,
        )
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("host", &self.host)
            .field("registrar", &self.registrar)
            .finish_non_exhaustive()
    }
}

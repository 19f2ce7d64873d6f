//! Coded agents: agents whose loop is Rust.

use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::event::RunResult;
use crate::message::{Item, ModelResponse};
use crate::run::RunContext;

/// An agent whose loop is Rust.
///
/// It pushes its events through [`RunContext::emit`] and asks the host for models, tools and
/// other agents, so that approvals, client tools and hooks hold for it as for declared agents.
/// The host adds `RUN_STARTED` and the end of the run by itself.
///
/// ```
/// use mortise_plugin_api::prelude::*;
///
/// struct Echo;
///
/// impl Agent for Echo {
///     fn info(&self) -> AgentInfo {
///         AgentInfo::new("echo", "Repeats what it hears")
///     }
///
///     async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
///         let heard = input.last().map(Item::text).unwrap_or_default();
///         run.say(&heard).await?;
///         Ok(RunResult::text(heard))
///     }
/// }
/// ```
pub trait Agent: Send + Sync + 'static {
    /// Name, description and schemas; asked once, at load.
    fn info(&self) -> AgentInfo;

    /// Does a run. `input` is the history, if any, and what the client sent.
    ///
    /// Dropped when the run is cancelled and the grace period is over.
    fn run(
        &self,
        run: RunContext,
        input: Vec<Item>,
    ) -> impl Future<Output = Result<RunResult>> + Send;
}

/// Name, description and schemas of a coded agent. The operator may override all but the schemas
/// in `[agents.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AgentInfo {
    /// The name in URLs.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// The JSON Schema of the context.
    #[serde(default)]
    pub context_schema: Option<Value>,
    /// The JSON Schema of the structured result.
    #[serde(default)]
    pub output_schema: Option<Value>,
    /// The tools it may call, by name; `instance.*` for all of an instance.
    #[serde(default)]
    pub tools: Vec<String>,
    /// The agents it may hand tasks to, by name.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Whether clients may run it; `false` leaves it to plugins and other agents.
    #[serde(default = "yes")]
    pub exposed: bool,
}

fn yes() -> bool {
    true
}

/// An agent that clients may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct AgentSummary {
    /// The name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What it thinks with, as the configuration says it; absent where its loop is Rust.
    pub model: Option<String>,
    /// The tools that it may call.
    pub tools: Vec<ToolSummary>,
}

/// A tool of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ToolSummary {
    /// The name.
    pub name: String,
    /// What it does.
    pub description: String,
}

// === impl AgentInfo ===

impl AgentInfo {
    /// An agent without schemas and tools.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            context_schema: None,
            output_schema: None,
            tools: Vec::new(),
            agents: Vec::new(),
            exposed: true,
        }
    }

    /// The JSON Schema of the context.
    #[must_use]
    pub fn with_context_schema(mut self, schema: Value) -> Self {
        self.context_schema = Some(schema);
        self
    }

    /// The JSON Schema of the structured result.
    #[must_use]
    pub fn with_output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// Clients may not run it: it is there for plugins and other agents.
    #[must_use]
    pub fn not_exposed(mut self) -> Self {
        self.exposed = false;
        self
    }

    /// A tool it may call.
    #[must_use]
    pub fn with_tool(mut self, name: impl Into<String>) -> Self {
        self.tools.push(name.into());
        self
    }

    /// An agent it may hand tasks to, with [`RunContext::run_agent`].
    #[must_use]
    pub fn with_agent(mut self, name: impl Into<String>) -> Self {
        self.agents.push(name.into());
        self
    }
}

// === impl RunResult ===

impl RunResult {
    /// A result that is one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            response: ModelResponse::text(text),
            structured: None,
            usage: None,
        }
    }

    /// Adds a structured value.
    #[must_use]
    pub fn with_structured(mut self, value: Value) -> Self {
        self.structured = Some(value);
        self
    }
}

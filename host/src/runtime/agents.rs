//! Agents as the runtime runs them: what the configuration says, with models and tools found.

mod build;
mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;

use mortise_plugin_api::{Template, ToolErrorMode};
use serde_json::{Map, Value};

use self::tools::ToolTable;
pub(crate) use self::tools::{ToolBody, ToolEntry, full_name};
pub(super) use self::tools::{apply, entry};
use super::api::{AgentSummary, ToolSummary};
use super::delegation;
use super::models::{ModelEntry, ModelTable};
use super::rules::ChosenBy;
use crate::config::{self, Config, Deadline, did_you_mean};
use crate::plugin::capability::{AgentCapability, Catalog};
use crate::schema::{Schema, escaped};

/// An agent that can be run.
pub(crate) struct AgentSpec {
    pub(crate) name: Arc<str>,
    pub(crate) description: String,
    pub(crate) kind: AgentKind,
    pub(crate) instructions: Option<Template>,
    pub(crate) tools: Vec<Arc<ToolEntry>>,
    /// The agents that it may hand tasks to.
    pub(crate) agents: Vec<Arc<str>>,
    /// What it is in runs whose context fits.
    pub(crate) rules: Vec<ChosenBy>,
    pub(crate) max_steps: Option<u32>,
    pub(crate) tool_error_mode: ToolErrorMode,
    pub(crate) context_schema: Option<CompiledSchema>,
    pub(crate) output: Option<OutputSpec>,
    pub(crate) repairs: u32,
    pub(crate) model_options: Map<String, Value>,
    pub(crate) client_tool_result_timeout: Option<Deadline>,
    pub(crate) tool_approval_timeout: Option<Deadline>,
    pub(crate) exposed: bool,
}

/// Who runs the loop.
pub(crate) enum AgentKind {
    /// The host, with this model.
    Declared(ModelEntry),
    /// The library.
    Coded(Arc<dyn AgentCapability>),
    /// Nobody: clients call its one tool themselves.
    ToolEndpoint,
}

/// A schema, as text for models and compiled for checks.
pub(crate) struct CompiledSchema {
    pub(crate) value: Value,
    pub(crate) compiled: Schema,
}

/// The structured output of an agent.
pub(crate) struct OutputSpec {
    pub(crate) schema: CompiledSchema,
    pub(crate) name: Option<String>,
    pub(crate) strict: Option<bool>,
}

/// An agent, model or tool of the configuration that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct AgentError {
    /// Where in the configuration.
    pub(crate) pointer: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// The agents of a server.
pub(crate) struct Agents {
    by_name: BTreeMap<Arc<str>, Arc<AgentSpec>>,
    models: ModelTable,
    /// What stands round the tools that clients may call themselves, by their names.
    endpoints: BTreeMap<String, Arc<AgentSpec>>,
}

// === impl AgentSpec ===

impl AgentSpec {
    pub(crate) fn tool(&self, name: &str) -> Option<&Arc<ToolEntry>> {
        self.tools.iter().find(|tool| tool.info.name == name)
    }

    /// What the agent is in a run with this context.
    pub(crate) fn for_context(self: Arc<Self>, context: Option<&Value>) -> Arc<Self> {
        let chosen = self.rules.iter().find(|rule| rule.fits(context));
        chosen.map(|rule| Arc::clone(&rule.agent)).unwrap_or(self)
    }

    /// What stands round a tool that clients call themselves: no agent has such a name.
    fn round_tool(tool: Arc<ToolEntry>) -> Self {
        Self {
            name: "-".into(),
            description: String::new(),
            kind: AgentKind::ToolEndpoint,
            instructions: None,
            tools: vec![tool],
            agents: Vec::new(),
            rules: Vec::new(),
            max_steps: None,
            tool_error_mode: ToolErrorMode::Throw,
            context_schema: None,
            output: None,
            repairs: 0,
            model_options: Map::new(),
            client_tool_result_timeout: None,
            tool_approval_timeout: None,
            exposed: false,
        }
    }

    pub(crate) fn summary(&self) -> AgentSummary {
        let (kind, model) = match &self.kind {
            AgentKind::Declared(model) => ("declared", Some(model.name.clone())),
            AgentKind::Coded(_) | AgentKind::ToolEndpoint => ("coded", None),
        };
        AgentSummary {
            name: self.name.to_string(),
            description: self.description.clone(),
            kind,
            model,
            tools: self.tools.iter().map(|tool| tool.summary()).collect(),
            agents: self.agents.iter().map(ToString::to_string).collect(),
            max_steps: self.max_steps,
            context_schema: self
                .context_schema
                .as_ref()
                .map(|schema| schema.value.clone()),
            output_schema: self
                .output
                .as_ref()
                .map(|output| output.schema.value.clone()),
        }
    }
}

// === impl Agents ===

impl Agents {
    /// Finds everything that the configured agents need.
    pub(crate) fn build(config: &Config, catalog: &Catalog) -> Result<Self, Vec<AgentError>> {
        let mut errors = Vec::new();
        let models = ModelTable::build(config, catalog, &mut errors);
        let tools = ToolTable::build(config, catalog, &mut errors);
        let endpoints = tools.endpoints(&config.tools.endpoints, &mut errors);
        for name in config
            .prices
            .keys()
            .filter(|&name| !models.is_offered(name))
        {
            errors.push(AgentError {
                pointer: format!("/prices/{}", escaped(name)),
                message: format!("there is no model '{name}' that could have a price"),
                help: Some(models.offered()),
            });
        }
        let mut by_name = BTreeMap::new();
        for (name, section) in &config.agents {
            let pointer = format!("/agents/{name}");
            match build::configured(name.as_str(), section, &pointer, catalog, &models, &tools) {
                Ok(spec) => {
                    by_name.insert(Arc::clone(&spec.name), spec);
                }
                Err(mut found) => errors.append(&mut found),
            }
        }
        // Coded agents that the configuration does not mention are there as they come.
        for offered in &catalog.agents {
            let name = offered.capability.info().name.as_str();
            let taken = config.agents.iter().any(|(own, section)| {
                own.as_str() == name
                    || section.agent.as_ref().is_some_and(|agent| {
                        agent.instance.as_str() == &*offered.instance && agent.name == name
                    })
            });
            if taken {
                continue;
            }
            let section = config::Agent::default();
            match build::coded(name, &section, "/plugins", &offered.capability, &tools) {
                Ok(spec) => {
                    by_name.insert(Arc::clone(&spec.name), spec);
                }
                Err(mut found) => errors.append(&mut found),
            }
        }
        // Agents that could not be made are no targets: they would be reported twice.
        let named = config.jobs.agents.keys();
        for name in named.filter(|name| !by_name.contains_key(name.as_str())) {
            let known: Vec<&str> = by_name.keys().map(|name| &**name).collect();
            errors.push(AgentError {
                pointer: format!("/jobs/agents/{name}"),
                message: format!("`jobs.agents` names '{name}', which does not exist"),
                help: did_you_mean(name.as_str(), &known, "there are"),
            });
        }
        if errors.is_empty() {
            delegation::connect(&mut by_name, config, &mut errors);
        }
        if errors.is_empty() {
            let by_name = by_name.into_iter();
            Ok(Self {
                by_name: by_name.map(|(name, spec)| (name, Arc::new(spec))).collect(),
                models,
                endpoints,
            })
        } else {
            Err(errors)
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<AgentSpec>> {
        self.by_name.get(name)
    }

    /// What stands round a tool that clients may call themselves.
    pub(crate) fn endpoint(&self, tool: &str) -> Option<&Arc<AgentSpec>> {
        self.endpoints.get(tool)
    }

    pub(crate) fn has_endpoints(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The tools that clients may call, but for those that ask somebody: these cannot be called so.
    pub(crate) fn endpoint_summaries(&self) -> Vec<ToolSummary> {
        let rounds = self.endpoints.values();
        let tools = rounds.flat_map(|round| round.tools.iter().map(|tool| tool.summary()));
        tools
            .filter(|tool| tool.target == "server" && !tool.approval)
            .collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_name.keys()
    }

    pub(crate) fn model(&self, name: &str) -> Option<ModelEntry> {
        self.models.get(name)
    }

    /// The exposed ones, in the order of their names.
    pub(crate) fn summaries(&self) -> Vec<AgentSummary> {
        self.by_name
            .values()
            .filter(|agent| agent.exposed)
            .map(|agent| agent.summary())
            .collect()
    }
}

pub(super) fn listed<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        format!("{what}: none")
    } else {
        format!("{what}: {}", names.join(", "))
    }
}

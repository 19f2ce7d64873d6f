//! Agents as the runtime runs them: what the configuration says, with models and tools found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{Approval, Template, ToolErrorMode, ToolInfo, ToolSpec, ToolTarget};
use serde_json::{Map, Value};

use super::api::{AgentSummary, ToolSummary};
use super::delegation;
use super::models::{ModelEntry, ModelTable};
use super::rules::ChosenBy;
use crate::config::{self, Config, Deadline, OutputErrorMode, ToolPattern};
use crate::plugin::capability::{AgentCapability, Catalog, ToolCapability};
use crate::schema::Schema;

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

/// A tool that an agent may call.
pub(crate) struct ToolEntry {
    pub(crate) info: ToolInfo,
    pub(crate) spec: ToolSpec,
    pub(crate) arguments: Schema,
    pub(crate) body: ToolBody,
    pub(crate) result_timeout: Option<Deadline>,
    pub(crate) approval_timeout: Option<Deadline>,
}

/// Who runs a tool.
pub(crate) enum ToolBody {
    Server(Arc<dyn ToolCapability>),
    /// Other agents; the host hands them the task.
    Agents(Arc<dyn ToolCapability>),
    /// The client; `Some` where a library decides on approvals.
    Client(Option<Arc<dyn ToolCapability>>),
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

// === impl ToolEntry ===

impl ToolEntry {
    pub(crate) fn is_client(&self) -> bool {
        matches!(self.body, ToolBody::Client(_))
    }

    pub(crate) fn capability(&self) -> Option<&Arc<dyn ToolCapability>> {
        match &self.body {
            ToolBody::Server(tool) | ToolBody::Agents(tool) | ToolBody::Client(Some(tool)) => {
                Some(tool)
            }
            ToolBody::Client(None) => None,
        }
    }
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

impl ToolEntry {
    fn summary(&self) -> ToolSummary {
        ToolSummary {
            name: self.info.name.clone(),
            description: self.info.description.clone(),
            target: if self.is_client() { "client" } else { "server" },
            approval: self.info.approval.is_some(),
            schema: self.info.schema.clone(),
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
                pointer: format!("/prices/{}", name.replace('~', "~0").replace('/', "~1")),
                message: format!("there is no model '{name}' that could have a price"),
                help: Some(models.offered()),
            });
        }
        let mut by_name = BTreeMap::new();
        for (name, section) in &config.agents {
            let pointer = format!("/agents/{name}");
            match build_one(name.as_str(), section, &pointer, catalog, &models, &tools) {
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
            match build_coded(name, &section, "/plugins", &offered.capability, &tools) {
                Ok(spec) => {
                    by_name.insert(Arc::clone(&spec.name), spec);
                }
                Err(mut found) => errors.append(&mut found),
            }
        }
        // Agents that could not be made are no targets: they would be reported twice.
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

fn build_one(
    name: &str,
    section: &config::Agent,
    pointer: &str,
    catalog: &Catalog,
    models: &ModelTable,
    tools: &ToolTable,
) -> Result<AgentSpec, Vec<AgentError>> {
    if let Some(model) = &section.model {
        let model = models
            .find(model, name, &format!("{pointer}/model"))
            .map_err(|error| vec![error])?;
        let kind = AgentKind::Declared(model);
        let mut spec = build_spec(name, section, pointer, kind, tools)?;
        let mut errors = Vec::new();
        for (index, rule) in section.rules.iter().enumerate() {
            let pointer = format!("{pointer}/rules/{index}");
            match build_rule(name, section, rule, &pointer, models, tools) {
                Ok(rule) => spec.rules.push(rule),
                Err(mut found) => errors.append(&mut found),
            }
        }
        return if errors.is_empty() {
            Ok(spec)
        } else {
            Err(errors)
        };
    }
    let wanted = section.agent.as_ref();
    let found = catalog.agents.iter().find(|offered| match wanted {
        Some(wanted) => {
            wanted.instance.as_str() == &*offered.instance
                && wanted.name == offered.capability.info().name
        }
        None => offered.capability.info().name == name,
    });
    let Some(offered) = found else {
        let message = match wanted {
            Some(wanted) => {
                format!(
                    "there is no coded agent '{}/{}'",
                    wanted.instance.as_str(),
                    wanted.name
                )
            }
            None => format!("the agent '{name}' has no model, and no plugin offers it"),
        };
        let coded: Vec<String> = catalog
            .agents
            .iter()
            .map(|offered| format!("{}/{}", offered.instance, offered.capability.info().name))
            .collect();
        let help = if wanted.is_none() {
            format!("say `model = \"instance/model\"`; {}", models.listed())
        } else {
            listed("the loaded plugins offer", coded.iter())
        };
        return Err(vec![AgentError {
            pointer: pointer.into(),
            message,
            help: Some(help),
        }]);
    };
    build_coded(name, section, pointer, &offered.capability, tools)
}

/// The agent as it is where the rule holds.
fn build_rule(
    name: &str,
    section: &config::Agent,
    rule: &config::Rule,
    pointer: &str,
    models: &ModelTable,
    tools: &ToolTable,
) -> Result<ChosenBy, Vec<AgentError>> {
    let mut section = section.clone();
    if rule.model.is_some() {
        section.model.clone_from(&rule.model);
    }
    if let Some(tools) = &rule.tools {
        section.tools.clone_from(tools);
    }
    section.rules.clear();
    let Some(model) = &section.model else {
        return Err(Vec::new());
    };
    let model = models
        .find(model, name, &format!("{pointer}/model"))
        .map_err(|error| vec![error])?;
    let kind = AgentKind::Declared(model);
    let agent = build_spec(name, &section, pointer, kind, tools)?;
    Ok(ChosenBy::new(&rule.when, agent))
}

fn build_coded(
    name: &str,
    section: &config::Agent,
    pointer: &str,
    agent: &Arc<dyn AgentCapability>,
    tools: &ToolTable,
) -> Result<AgentSpec, Vec<AgentError>> {
    let info = agent.info();
    if !section.rules.is_empty() {
        return Err(vec![AgentError {
            pointer: format!("{pointer}/rules/0"),
            message: format!("the agent '{name}' is a library's, which chooses by itself"),
            help: Some("remove its `rules`, or give it a `model`".into()),
        }]);
    }
    let mut spec = build_spec(
        name,
        section,
        pointer,
        AgentKind::Coded(Arc::clone(agent)),
        tools,
    )?;
    if section.description.is_none() {
        spec.description.clone_from(&info.description);
    }
    spec.exposed &= info.exposed;
    if section.tools.is_empty() && !info.tools.is_empty() {
        spec.tools = tools.choose_names(name, &info.tools, pointer)?;
    }
    if section.agents.is_empty() {
        spec.agents = info
            .agents
            .iter()
            .map(|name| name.as_str().into())
            .collect();
    }
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        let message = format!("the {what} schema of the coded agent '{name}' is invalid: {error}");
        vec![AgentError {
            pointer: pointer.into(),
            message,
            help: None,
        }]
    };
    if let Some(schema) = &info.context_schema {
        spec.context_schema = Some(compile(schema).map_err(|error| invalid("context", &error))?);
    }
    if let Some(schema) = &info.output_schema {
        let schema = compile(schema).map_err(|error| invalid("output", &error))?;
        spec.output = Some(OutputSpec {
            schema,
            name: None,
            strict: None,
        });
    }
    Ok(spec)
}

fn build_spec(
    name: &str,
    section: &config::Agent,
    pointer: &str,
    kind: AgentKind,
    tools: &ToolTable,
) -> Result<AgentSpec, Vec<AgentError>> {
    let mut errors = Vec::new();
    let chosen = tools
        .choose(name, &section.tools, pointer)
        .unwrap_or_else(|mut found| {
            errors.append(&mut found);
            Vec::new()
        });
    let instructions = section.instructions.as_deref().map(Template::parse);
    let instructions = instructions.transpose().unwrap_or_else(|error| {
        errors.push(AgentError {
            pointer: format!("{pointer}/instructions"),
            message: format!("the instructions of the agent '{name}' are no template: {error}"),
            help: Some("write `{{ context.key }}` for a value of the run's context".into()),
        });
        None
    });
    let mut compiled = |key: &str, table: Option<&config::FreeTable>| {
        let table = table?;
        compile(table.value())
            .map_err(|error| {
                let message = format!("the schema is invalid: {error}");
                errors.push(AgentError {
                    pointer: format!("{pointer}/{key}"),
                    message,
                    help: None,
                });
            })
            .ok()
    };
    let context_schema = compiled("context_schema", section.context_schema.as_ref());
    let output =
        compiled("output_schema", section.output_schema.as_ref()).map(|schema| OutputSpec {
            schema,
            name: section.output_name.clone(),
            strict: section.output_strict,
        });
    if !errors.is_empty() {
        return Err(errors);
    }
    let repairs = match section.output_error_mode {
        OutputErrorMode::Throw => 0,
        OutputErrorMode::Repair => section.max_repairs,
    };
    Ok(AgentSpec {
        name: name.into(),
        description: section.description.clone().unwrap_or_default(),
        kind,
        instructions,
        tools: chosen,
        agents: section
            .agents
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        rules: Vec::new(),
        max_steps: section.max_steps,
        tool_error_mode: section.tool_error_mode.map(error_mode).unwrap_or_default(),
        context_schema,
        output,
        repairs,
        model_options: section
            .model_options
            .value()
            .as_object()
            .cloned()
            .unwrap_or_default(),
        client_tool_result_timeout: section.client_tool_result_timeout,
        tool_approval_timeout: section.tool_approval_timeout,
        exposed: section.exposed,
    })
}

fn compile(schema: &Value) -> Result<CompiledSchema, crate::schema::SchemaError> {
    Ok(CompiledSchema {
        value: schema.clone(),
        compiled: Schema::compile(schema)?,
    })
}

fn error_mode(mode: config::ToolErrorMode) -> ToolErrorMode {
    match mode {
        config::ToolErrorMode::ToolError => ToolErrorMode::ToolError,
        config::ToolErrorMode::Throw => ToolErrorMode::Throw,
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

// === tools ===

/// Every tool there is, with the instance that offers it.
struct ToolTable {
    entries: Vec<(Option<Arc<str>>, Arc<ToolEntry>)>,
    /// The instances whose tools come and go.
    toolsets: Vec<Arc<str>>,
    shared: Vec<ToolPattern>,
}

impl ToolTable {
    fn build(config: &Config, catalog: &Catalog, errors: &mut Vec<AgentError>) -> Self {
        let mut entries: Vec<(Option<Arc<str>>, Arc<ToolEntry>)> = Vec::new();
        let toolsets = catalog.toolsets.iter();
        let toolsets: Vec<Arc<str>> = toolsets
            .map(|offered| Arc::clone(&offered.instance))
            .collect();
        for offered in &catalog.tools {
            let mut info = offered.capability.info().clone();
            let full = full_name(&offered.instance, &info);
            let named = &config.tools.named;
            let section = named.get(&info.name).or_else(|| named.get(&full));
            if let Some(section) = section {
                apply(&mut info, section);
            }
            let body = match info.target {
                ToolTarget::Client => ToolBody::Client(Some(Arc::clone(&offered.capability))),
                _ => ToolBody::Server(Arc::clone(&offered.capability)),
            };
            match entry(info, section, body) {
                Ok(entry) => entries.push((Some(Arc::clone(&offered.instance)), Arc::new(entry))),
                Err(mut error) => {
                    error.message = format!("plugin '{}': {}", offered.instance, error.message);
                    errors.push(error);
                }
            }
        }
        for (name, section) in &config.tools.named {
            if section.client {
                let schema = section.schema.as_ref().map_or_else(
                    || serde_json::json!({ "type": "object" }),
                    |schema| schema.value().clone(),
                );
                let mut info = ToolInfo::with_schema(name, "", schema).on_client();
                apply(&mut info, section);
                match entry(info, Some(section), ToolBody::Client(None)) {
                    Ok(entry) => entries.push((None, Arc::new(entry))),
                    Err(error) => errors.push(error),
                }
            } else if name != delegation::TOOL
                && !may_come(&toolsets, name)
                && !entries.iter().any(|(instance, tool)| {
                    let instance = instance.as_ref();
                    tool.info.name == *name
                        || instance.is_some_and(|it| full_name(it, &tool.info) == *name)
                })
            {
                errors.push(AgentError {
                    pointer: format!("/tools/{name}"),
                    message: format!("no loaded plugin offers a tool '{name}'"),
                    help: Some("say `client = true` to declare a tool that the client runs".into()),
                });
            }
        }
        Self {
            entries,
            toolsets,
            shared: config.tools.shared.clone(),
        }
    }

    fn choose(
        &self,
        agent: &str,
        patterns: &[ToolPattern],
        pointer: &str,
    ) -> Result<Vec<Arc<ToolEntry>>, Vec<AgentError>> {
        let own = patterns
            .iter()
            .enumerate()
            .map(|(index, pattern)| (format!("{pointer}/tools/{index}"), pattern));
        let shared = self
            .shared
            .iter()
            .enumerate()
            .map(|(index, pattern)| (format!("/tools/shared/{index}"), pattern));
        self.matching(&format!("the agent '{agent}'"), own.chain(shared))
    }

    /// The tools that clients may call themselves, each with what stands round it.
    fn endpoints(
        &self,
        patterns: &[ToolPattern],
        errors: &mut Vec<AgentError>,
    ) -> BTreeMap<String, Arc<AgentSpec>> {
        let places = patterns.iter().enumerate();
        let places = places.map(|(index, it)| (format!("/tools/endpoints/{index}"), it));
        let open = self.matching("`tools.endpoints`", places);
        let open = open.unwrap_or_else(|mut found| {
            errors.append(&mut found);
            Vec::new()
        });
        let named = |tool: Arc<ToolEntry>| {
            let name = tool.info.name.clone();
            (name, Arc::new(AgentSpec::round_tool(tool)))
        };
        open.into_iter().map(named).collect()
    }

    /// The tools that any of the patterns means; `whose` says for what.
    fn matching<'p>(
        &self,
        whose: &str,
        patterns: impl Iterator<Item = (String, &'p ToolPattern)>,
    ) -> Result<Vec<Arc<ToolEntry>>, Vec<AgentError>> {
        let mut chosen: Vec<Arc<ToolEntry>> = Vec::new();
        let mut errors = Vec::new();
        for (pointer, pattern) in patterns {
            let mut matched = false;
            for (instance, tool) in &self.entries {
                let name = &tool.info.name;
                let full = instance
                    .as_ref()
                    .map(|instance| full_name(instance, &tool.info));
                if !pattern.matches(name) && !full.is_some_and(|full| pattern.matches(&full)) {
                    continue;
                }
                matched = true;
                match chosen.iter().find(|other| other.info.name == *name) {
                    Some(other) if !Arc::ptr_eq(other, tool) => errors.push(AgentError {
                        pointer: pointer.clone(),
                        message: format!("{whose} would have two tools '{name}'"),
                        help: Some("name the instance: `\"instance.tool\"`".into()),
                    }),
                    Some(_) => {}
                    None => chosen.push(Arc::clone(tool)),
                }
            }
            let may_come = may_come(&self.toolsets, pattern.as_str());
            if !matched && pattern.is_exact() && !may_come {
                let names: Vec<String> = self
                    .entries
                    .iter()
                    .map(|(_, tool)| tool.info.name.clone())
                    .collect();
                errors.push(AgentError {
                    pointer,
                    message: format!("{whose} names a tool '{pattern}' that does not exist"),
                    help: Some(listed("there are", names.iter())),
                });
            }
        }
        if errors.is_empty() {
            Ok(chosen)
        } else {
            Err(errors)
        }
    }

    fn choose_names(
        &self,
        agent: &str,
        names: &[String],
        pointer: &str,
    ) -> Result<Vec<Arc<ToolEntry>>, Vec<AgentError>> {
        let patterns: Result<Vec<ToolPattern>, _> = names
            .iter()
            .map(|name| ToolPattern::try_from(name.clone()))
            .collect();
        match patterns {
            Ok(patterns) => self.choose(agent, &patterns, pointer),
            Err(error) => Err(vec![AgentError {
                pointer: pointer.into(),
                message: format!("the coded agent '{agent}' names an invalid tool: {error}"),
                help: None,
            }]),
        }
    }
}

/// What the configuration calls a tool of an instance, whatever others are called.
pub(crate) fn full_name(instance: &str, info: &ToolInfo) -> String {
    let path = info.path.as_ref().unwrap_or(&info.name);
    format!("{instance}.{path}")
}

/// Whether the name is of one of these instances, whose tools come and go.
fn may_come(toolsets: &[Arc<str>], name: &str) -> bool {
    toolsets.iter().any(|instance| {
        let rest = name.strip_prefix(&**instance);
        rest.is_some_and(|rest| rest.starts_with('.'))
    })
}

pub(super) fn entry(
    info: ToolInfo,
    section: Option<&config::Tool>,
    body: ToolBody,
) -> Result<ToolEntry, AgentError> {
    let arguments = Schema::compile(&info.schema).map_err(|error| AgentError {
        pointer: format!("/tools/{}", info.name),
        message: format!("the schema of the tool '{}' is invalid: {error}", info.name),
        help: None,
    })?;
    let millis = |millis| Deadline::After(Duration::from_millis(millis));
    let approval = section.and_then(|section| section.approval.as_ref());
    Ok(ToolEntry {
        spec: ToolSpec {
            name: info.name.clone(),
            description: info.description.clone(),
            schema: info.schema.clone(),
        },
        arguments,
        body,
        result_timeout: section
            .and_then(|section| section.result_timeout)
            .or(info.result_timeout_ms.map(millis)),
        approval_timeout: approval.and_then(|approval| approval.timeout).or(info
            .approval
            .as_ref()
            .and_then(|approval| approval.timeout_ms)
            .map(millis)),
        info,
    })
}

/// What the operator says of a tool beats what its library says.
pub(super) fn apply(info: &mut ToolInfo, section: &config::Tool) {
    if let Some(description) = &section.description {
        info.description.clone_from(description);
    }
    if let Some(mode) = section.error_mode {
        info.error_mode = Some(error_mode(mode));
    }
    if let Some(idempotent) = section.idempotent {
        info.idempotent = idempotent;
    }
    if let Some(own) = &section.approval {
        let approval = info.approval.get_or_insert_with(Approval::default);
        approval.required = own.required;
        approval.per_call = false;
        if let Some(meta) = &own.meta {
            approval.meta = Some(meta.value().clone());
        }
        approval.excludes_owner |= own.excludes_owner;
        if let Some(scope) = &own.scope {
            approval.scope = Some(scope.clone());
        }
    }
}

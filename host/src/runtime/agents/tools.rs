//! The tools that agents may call, as their libraries and the configuration say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{Approval, ToolInfo, ToolSpec, ToolTarget};
use serde_json::json;

use super::{AgentError, AgentSpec, listed};
use crate::config::{self, Config, Deadline, ToolPattern};
use crate::plugin::capability::{Catalog, ToolCapability};
use crate::runtime::api::ToolSummary;
use crate::runtime::delegation;
use crate::schema::Schema;

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

/// Every tool there is, with the instance that offers it.
pub(super) struct ToolTable {
    entries: Vec<(Option<Arc<str>>, Arc<ToolEntry>)>,
    /// The instances whose tools come and go.
    toolsets: Vec<Arc<str>>,
    shared: Vec<ToolPattern>,
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

    pub(super) fn summary(&self) -> ToolSummary {
        ToolSummary {
            name: self.info.name.clone(),
            description: self.info.description.clone(),
            target: if self.is_client() { "client" } else { "server" },
            approval: self.info.approval.is_some(),
            schema: self.info.schema.clone(),
        }
    }
}

// === impl ToolTable ===

impl ToolTable {
    pub(super) fn build(config: &Config, catalog: &Catalog, errors: &mut Vec<AgentError>) -> Self {
        let mut entries: Vec<(Option<Arc<str>>, Arc<ToolEntry>)> = Vec::new();
        let toolsets = catalog.toolsets.iter();
        let toolsets: Vec<Arc<str>> = toolsets
            .map(|offered| Arc::clone(&offered.instance))
            .collect();
        for offered in &catalog.tools {
            let mut info = offered.capability.info().clone();
            let full = full_name(&offered.instance, &info);
            let named = &config.tools.named;
            // The more exact name counts.
            let section = named.get(&full).or_else(|| named.get(&info.name));
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
                    || json!({ "type": "object" }),
                    |schema| schema.value().clone(),
                );
                let mut info = ToolInfo::of_schema(name, "", schema).on_client();
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

    pub(super) fn choose(
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
    pub(super) fn endpoints(
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

    /// The names of the tools, each as it is and with its instance.
    fn full_names(&self) -> impl Iterator<Item = (&str, String)> {
        self.entries.iter().map(|(instance, tool)| {
            let name = &*tool.info.name;
            let full = instance
                .as_ref()
                .map_or_else(|| name.to_owned(), |it| full_name(it, &tool.info));
            (name, full)
        })
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
                    Some(other) if !Arc::ptr_eq(other, tool) => {
                        let same = self.full_names().filter(|(own, _)| own == name);
                        let same: Vec<String> = same.map(|(_, full)| full).collect();
                        errors.push(AgentError {
                            pointer: pointer.clone(),
                            message: format!("{whose} would have two tools '{name}'"),
                            help: Some(listed("name one of them with its instance", same.iter())),
                        });
                    }
                    Some(_) => {}
                    None => chosen.push(Arc::clone(tool)),
                }
            }
            let may_come = may_come(&self.toolsets, pattern.as_str());
            if !matched && pattern.is_exact() && !may_come {
                let names: Vec<String> = self.full_names().map(|(_, full)| full).collect();
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

    pub(super) fn choose_names(
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

pub(in crate::runtime) fn entry(
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
pub(in crate::runtime) fn apply(info: &mut ToolInfo, section: &config::Tool) {
    if let Some(description) = &section.description {
        info.description.clone_from(description);
    }
    if let Some(mode) = section.error_mode {
        info.error_mode = Some(mode);
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

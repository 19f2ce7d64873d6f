//! How an agent is made of what the configuration says, and a library where its loop is one's.

use std::sync::Arc;

use mortise_plugin_api::Template;
use serde_json::Value;

use super::tools::ToolTable;
use super::{AgentError, AgentKind, AgentSpec, CompiledSchema, OutputSpec, listed};
use crate::config::{self, OutputErrorMode};
use crate::plugin::capability::{AgentCapability, Catalog};
use crate::runtime::models::ModelTable;
use crate::runtime::rules::ChosenBy;
use crate::schema::{Schema, SchemaError};

pub(super) fn configured(
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
        let mut spec = of_section(name, section, pointer, kind, tools)?;
        let mut errors = Vec::new();
        for (index, rule) in section.rules.iter().enumerate() {
            let pointer = format!("{pointer}/rules/{index}");
            match of_rule(name, section, rule, &pointer, models, tools) {
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
    coded(name, section, pointer, &offered.capability, tools)
}

/// The agent as it is where the rule holds.
fn of_rule(
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
    let agent = of_section(name, &section, pointer, kind, tools)?;
    Ok(ChosenBy::new(&rule.when, agent))
}

pub(super) fn coded(
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
    let mut spec = of_section(
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

fn of_section(
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
        tool_error_mode: section.tool_error_mode.unwrap_or_default(),
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

fn compile(schema: &Value) -> Result<CompiledSchema, SchemaError> {
    Ok(CompiledSchema {
        value: schema.clone(),
        compiled: Schema::compile(schema)?,
    })
}

//! The models of a server: what plugins offer, and the aliases of the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use mortise_plugin_api::{ModelCapabilities, ModelInfo};
use serde_json::{Map, Value};

use super::agents::{AgentError, listed};
use crate::config::{Config, ModelAlias, ModelCapability, ModelName, ToolPattern, did_you_mean};
use crate::plugin::capability::{self, Catalog};

/// A model and how it is named: `instance/name`.
#[derive(Clone)]
pub(crate) struct ModelEntry {
    pub(crate) name: String,
    /// The same for metrics, but where a coded agent makes it up: then the pattern that it fits.
    pub(crate) label: Arc<str>,
    pub(crate) model: Arc<dyn capability::ModelCapability>,
    /// The options of an alias, below those of agents and requests.
    defaults: Map<String, Value>,
}

/// Every model, under each of its names.
pub(crate) struct ModelTable(BTreeMap<String, ModelEntry>);

// === impl ModelTable ===

impl ModelTable {
    pub(crate) fn build(config: &Config, catalog: &Catalog, errors: &mut Vec<AgentError>) -> Self {
        let mut table = Self(BTreeMap::new());
        for offered in &catalog.models {
            let name = format!("{}/{}", offered.instance, offered.capability.info().name);
            let entry = ModelEntry {
                name: name.clone(),
                label: name.as_str().into(),
                model: Arc::clone(&offered.capability),
                defaults: Map::new(),
            };
            table.0.insert(name, entry);
        }
        // An alias has no slash in its name, so that it is no plugin's model.
        for (name, alias) in &config.models {
            if let Some(entry) = table.named(name.as_str(), alias, errors) {
                table.0.insert(name.to_string(), entry);
            }
        }
        table
    }

    /// The model of this name; else the one whose name, with `*` for any characters, fits it. The
    /// longest that fits says the most of it.
    pub(crate) fn get(&self, name: &str) -> Option<ModelEntry> {
        if let Some(entry) = self.0.get(name).filter(|_| !name.contains('*')) {
            return Some(entry.clone());
        }
        let fitting = self.0.values().filter(|entry| {
            ToolPattern::try_from(entry.name.clone())
                .is_ok_and(|pattern| !pattern.is_exact() && pattern.matches(name))
        });
        let entry = fitting.max_by_key(|entry| entry.name.len())?;
        Some(ModelEntry {
            name: name.to_owned(),
            label: Arc::clone(&entry.label),
            model: Arc::clone(&entry.model),
            defaults: Map::new(),
        })
    }

    /// The model that an agent names.
    pub(crate) fn find(
        &self,
        wanted: &ModelName,
        agent: &str,
        pointer: &str,
    ) -> Result<ModelEntry, AgentError> {
        let found = self.get(wanted.as_str()).map(|mut entry| {
            entry.label = entry.name.as_str().into();
            entry
        });
        found.ok_or_else(|| {
            let aliases: Vec<&str> = self.names(true).map(String::as_str).collect();
            let (message, help) = if wanted.is_alias() {
                let message = format!("there is no alias '{wanted}' for the agent '{agent}'");
                let help = did_you_mean(wanted.as_str(), &aliases, "[models] has");
                let none =
                    || format!("write \"instance/model\", or declare it: `[models.{wanted}]`");
                (message, help.unwrap_or_else(none))
            } else {
                let message = format!("there is no model '{wanted}' for the agent '{agent}'");
                (
                    message,
                    listed("the loaded plugins offer", self.names(false)),
                )
            };
            AgentError {
                pointer: pointer.to_owned(),
                message,
                help: Some(help),
            }
        })
    }

    /// The names of all models, for advice.
    pub(crate) fn listed(&self) -> String {
        listed("there are", self.0.keys())
    }

    /// Whether a plugin offers a model of this name.
    pub(crate) fn is_offered(&self, name: &str) -> bool {
        name.contains('/') && self.get(name).is_some()
    }

    /// The names of those that plugins offer, for advice.
    pub(crate) fn offered(&self) -> String {
        listed("the loaded plugins offer", self.names(false))
    }

    fn names(&self, are_aliases: bool) -> impl Iterator<Item = &String> {
        let names = self.0.keys();
        names.filter(move |name| name.contains('/') != are_aliases)
    }

    fn named(
        &self,
        name: &str,
        alias: &ModelAlias,
        errors: &mut Vec<AgentError>,
    ) -> Option<ModelEntry> {
        let model = alias.model.to_string();
        let Some(entry) = self.get(&model) else {
            errors.push(AgentError {
                pointer: format!("/models/{name}/model"),
                message: format!("there is no model '{model}' for the alias '{name}'"),
                help: Some(self.offered()),
            });
            return None;
        };
        let capabilities = &entry.info().capabilities;
        for (index, wanted) in alias.capabilities.iter().enumerate() {
            if !can(capabilities, *wanted) {
                let wanted = wanted.as_str();
                errors.push(AgentError {
                    pointer: format!("/models/{name}/capabilities/{index}"),
                    message: format!(
                        "the model '{model}' of the alias '{name}' lacks the capability '{wanted}'"
                    ),
                    help: Some(format!("it has: {}", all_of(capabilities))),
                });
            }
        }
        Some(ModelEntry {
            label: entry.name.as_str().into(),
            defaults: alias.defaults.value().as_object().cloned()?,
            ..entry
        })
    }
}

const CAPABILITIES: [ModelCapability; 7] = [
    ModelCapability::Instructions,
    ModelCapability::Tools,
    ModelCapability::StructuredOutput,
    ModelCapability::Image,
    ModelCapability::Audio,
    ModelCapability::Video,
    ModelCapability::File,
];

fn can(model: &ModelCapabilities, wanted: ModelCapability) -> bool {
    match wanted {
        ModelCapability::Instructions => model.instructions,
        ModelCapability::Tools => model.tools,
        ModelCapability::StructuredOutput => model.structured_output,
        kind => model.input.iter().any(|own| own == kind.as_str()),
    }
}

fn all_of(model: &ModelCapabilities) -> String {
    let own = CAPABILITIES.into_iter().filter(|it| can(model, *it));
    let own: Vec<&str> = own.map(ModelCapability::as_str).collect();
    if own.is_empty() {
        "none".to_owned()
    } else {
        own.join(", ")
    }
}

// === impl ModelEntry ===

impl ModelEntry {
    pub(crate) fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    /// What its plugin calls it.
    pub(crate) fn own_name(&self) -> &str {
        self.name
            .split_once('/')
            .map_or(&self.name, |(_, name)| name)
    }

    /// The options of a request, over those of the alias.
    pub(crate) fn with_defaults(&self, options: Map<String, Value>) -> Map<String, Value> {
        if self.defaults.is_empty() {
            return options;
        }
        let mut all = self.defaults.clone();
        merge(&mut all, &options);
        all
    }
}

/// The options below, with those over them.
pub(crate) fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

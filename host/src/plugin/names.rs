//! The names of agents and instances in the settings of plugins: whether there are any such is known
//! once everything is loaded.

use std::collections::BTreeSet;

use mortise_plugin_api::{AgentName, InstanceName};
use serde_json::{Value, json};

use super::capability::Catalog;
use super::error::{LoadErrors, in_one_line};
use super::settings;
use crate::config::{AgentName as ConfiguredName, Config};

/// The settings of all instances, in the order of the configuration.
#[derive(Default)]
pub(super) struct AllSettings {
    pub(super) each: Vec<Settings>,
    /// The instances that the server starts without: what they would have brought may be named.
    pub(super) left_out: Vec<String>,
}

/// The settings of an instance, as they fit its schema.
pub(super) struct Settings {
    /// The index among `[[plugins.load]]`, for those that have one.
    pub(super) entry: Option<usize>,
    pub(super) instance: String,
    pub(super) value: Value,
    pub(super) schema: Value,
}

/// The names that there are, as lists of JSON.
struct Names {
    agents: Value,
    instances: Value,
}

// === impl AllSettings ===

impl AllSettings {
    /// Refuses the name of an agent or of an instance that there is none of. Where an instance was
    /// left out, it is only logged.
    pub(super) fn check_names(self, config: &Config, catalog: &Catalog) -> Result<(), LoadErrors> {
        let Self { each, left_out } = self;
        let declared = config.agents.keys().map(ConfiguredName::as_str);
        let coded = catalog.agents.iter().map(|it| it.capability.info());
        let agents: BTreeSet<&str> = declared.chain(coded.map(|info| &*info.name)).collect();
        let instances = each.iter().map(|settings| &settings.instance);
        let names = Names {
            agents: json!(agents),
            instances: json!(instances.chain(&left_out).collect::<Vec<_>>()),
        };
        let mut errors = Vec::new();
        for settings in each {
            let Settings {
                entry,
                instance,
                value,
                mut schema,
            } = settings;
            if names.list_in(&mut schema)
                && let Err(wrong) = settings::check(config, entry, &instance, &value, &schema)
            {
                errors.extend(wrong);
            }
        }
        if left_out.is_empty() {
            return LoadErrors::collect(errors);
        }
        for error in errors {
            let left_out = left_out.join(", ");
            tracing::warn!(
                "{}; the server starts without {left_out}",
                in_one_line(&error)
            );
        }
        Ok(())
    }
}

// === impl Names ===

impl Names {
    /// Lists the names wherever a schema asks for one; whether it does.
    fn list_in(&self, schema: &mut Value) -> bool {
        match schema {
            Value::Object(members) => {
                let names = match members.get("format").and_then(Value::as_str) {
                    Some(AgentName::FORMAT) => &self.agents,
                    Some(InstanceName::FORMAT) => &self.instances,
                    _ => return self.list_in_each(members.values_mut()),
                };
                members.insert("enum".to_owned(), names.clone());
                true
            }
            Value::Array(items) => self.list_in_each(items.iter_mut()),
            _ => false,
        }
    }

    fn list_in_each<'a>(&self, schemas: impl Iterator<Item = &'a mut Value>) -> bool {
        let mut found = false;
        for schema in schemas {
            found |= self.list_in(schema);
        }
        found
    }
}

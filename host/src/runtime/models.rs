//! The models that plugins offer, found by the names that agents give them.

use std::collections::BTreeMap;
use std::sync::Arc;

use mortise_plugin_api::ModelInfo;

use crate::config::ToolPattern;
use crate::plugin::capability::{Catalog, ModelCapability};

/// A model and how it is named: `instance/name`.
#[derive(Clone)]
pub(crate) struct ModelEntry {
    pub(crate) name: String,
    pub(crate) model: Arc<dyn ModelCapability>,
}

/// All models of all instances.
pub(crate) struct Models(BTreeMap<String, ModelEntry>);

// === impl Models ===

impl Models {
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let entries = catalog.models.iter().map(|offered| {
            let name = format!("{}/{}", offered.instance, offered.capability.info().name);
            let entry = ModelEntry {
                name: name.clone(),
                model: Arc::clone(&offered.capability),
            };
            (name, entry)
        });
        Self(entries.collect())
    }

    /// The model of this name; else the one whose name, with `*` for any characters, fits it. The
    /// longest that fits says the most of it.
    pub(crate) fn find(&self, name: &str) -> Option<ModelEntry> {
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
            model: Arc::clone(&entry.model),
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
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
}

//! A model that answers from a script: no key, no network.
//!
//! A script is a pure function from a request to a [`plan`]; the
//! [`player`] turns the plan into chunks and keeps its waits.

mod conversation;
mod directive;
mod marker;
mod model;
mod native;
mod plan;
mod player;
mod probe;
mod tool;

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::model::ScriptedModel;
use crate::probe::Probe;
use crate::tool::ScriptedTool;
pub use crate::tool::ToolConfig;

/// The plugin: one model, and tools and a probe where they are asked for.
#[derive(Debug)]
pub struct Scripted {
    config: Config,
}

/// The `config` table.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which script answers.
    pub script: Script,
    /// The name of the model; by default `fake-1`, or `mock-model` for the directive script.
    pub name: Option<String>,
    /// Whether `GET /api/probe` tells how many calls there were and what the last one asked.
    pub probe: bool,
    /// Tools that answer with a text.
    pub tools: Vec<ToolConfig>,
}

/// Which script answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Script {
    /// The first word or the whole prompt decides.
    #[default]
    Native,
    /// Words anywhere in the prompt decide.
    Directive,
    /// Markers in square brackets decide.
    Marker,
}

impl Plugin for Scripted {
    type Config = Config;
    const NAME: &'static str = "scripted-model";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        if config
            .name
            .as_deref()
            .is_some_and(|name| name.trim().is_empty())
        {
            return Err(Error::config("/name", "is blank"));
        }
        Ok(Self { config })
    }

    fn register(&self, registrar: &mut Registrar) {
        let probe = Arc::new(Probe::default());
        if self.config.probe {
            registrar.mount(probe::mount(Arc::clone(&probe)));
        }
        for tool in &self.config.tools {
            registrar.tool(ScriptedTool::new(tool.clone(), Arc::clone(&probe)));
        }
        registrar.model(ScriptedModel::new(
            self.config.script,
            self.config.model_name().to_owned(),
            probe,
        ));
    }
}

// === impl Config ===

impl Config {
    fn model_name(&self) -> &str {
        match (&self.name, self.script) {
            (Some(name), _) => name,
            (None, Script::Directive) => "mock-model",
            (None, Script::Native | Script::Marker) => "fake-1",
        }
    }
}

export_plugin!(Scripted);

//! Models of OpenAI, Anthropic, Gemini, Ollama, and of whatever speaks like one of them.

mod api;
mod call_ids;
mod config;
mod content;
mod conversation;
mod failure;
mod frames;
mod generate;
mod model;
mod names;
mod options;
mod provider;
mod remembered;
mod target;
mod translate;
mod upstream;

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

pub use crate::api::Api;
pub use crate::config::{Config, ModelConfig, ProviderConfig, RetriesConfig, TimeoutsConfig};

use crate::model::ProviderModel;
use crate::target::Targets;

/// The plugin: models by the names that the configuration gives them, and by those of their
/// providers.
#[derive(Debug)]
pub struct Llm {
    targets: Arc<Targets>,
}

impl Plugin for Llm {
    type Config = Config;
    const NAME: &'static str = "llm";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        let targets = Targets::new(config, &|name| std::env::var(name).ok())?;
        Ok(Self {
            targets: Arc::new(targets),
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        for info in self.targets.offered() {
            registrar.model(ProviderModel::new(info, Arc::clone(&self.targets)));
        }
    }

    async fn start(&self) -> Result<()> {
        self.targets.connect()
    }
}

export_plugin!(Llm);

//! Test plugin: panics and hangs wherever it is told to.
//!
//! A server that survives this library survives what plugins do by mistake.

mod agent;
mod endpoint;
mod forger;
mod hook;
mod lingering;
mod model;
mod place;
mod tool;

use std::time::Duration;

use mortise_plugin_api::prelude::*;

use crate::forger::Forge;
use crate::place::{Bomb, Hang, Place, Spot};

/// The plugin.
#[derive(Debug)]
pub struct Misbehaving {
    config: Config,
    _bomb: Option<Bomb>,
}

/// The `config` table.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to panic; nowhere by default.
    pub panic_in: Option<Place>,
    /// Where to hang, whatever is cancelled; nowhere by default.
    pub hang_in: Option<Spot>,
    /// In which way.
    pub hang: Hang,
    /// How a hook makes up the end of a run; not at all by default.
    pub forge: Option<Forge>,
    /// Whether to ask for everything in an event hook.
    pub ask_in_event: bool,
}

impl Plugin for Misbehaving {
    type Config = Config;
    const NAME: &'static str = "misbehaving";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        config.panic_at(Place::Create);
        Ok(Self {
            config,
            _bomb: config.bomb_at(Place::PluginDrop),
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        let config = self.config;
        config.panic_at(Place::Register);
        registrar
            .agent(agent::Misbehaving::new(config))
            .agent(agent::Tokio)
            .agent(agent::Late)
            .agent(forger::Forger)
            .agent(lingering::LingeringAgent)
            .model(model::Panicky::new(config))
            .tool(tool::Misbehave::new(config))
            .tool(tool::BadResult)
            .tool(tool::Leaky)
            .tool(lingering::LingeringTool)
            .mount(endpoint::mount(config));
        if let Some(hook) = hook::Misplaced::new(config) {
            registrar.hook(hook);
        }
        if let Some(forge) = config.forge {
            registrar.hook(forger::Forging(forge));
        }
        if config.ask_in_event {
            registrar.hook(lingering::Asking);
        }
    }

    async fn start(&self) -> Result<()> {
        self.config.panic_at(Place::Start);
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        self.config.panic_at(Place::Shutdown);
        Ok(())
    }
}

// === impl Config ===

impl Config {
    /// Panics if this is the place.
    fn panic_at(self, place: Place) {
        assert!(self.panic_in != Some(place), "misbehaving in {place:?}");
    }

    /// Something that panics when it is dropped, if this is the place.
    fn bomb_at(self, place: Place) -> Option<Bomb> {
        (self.panic_in == Some(place)).then(|| Bomb)
    }

    /// Hangs if this is the spot.
    async fn hang_at(self, spot: Spot) {
        if self.hang_in != Some(spot) {
            return;
        }
        match self.hang {
            Hang::Wait => std::future::pending().await,
            Hang::Spin => loop {
                tokio::task::yield_now().await;
            },
            Hang::Block => std::thread::sleep(Duration::from_secs(2)),
            Hang::Hold => std::thread::sleep(Duration::from_secs(600)),
        }
    }
}

export_plugin!(Misbehaving);

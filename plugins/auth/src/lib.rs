//! API keys for Mortise: a guard that knows each key's subject.

mod config;
mod guard;
mod keyring;

use mortise_plugin_api::prelude::*;

pub use crate::config::{Config, KeyConfig};
use crate::guard::KeyGuard;

/// The plugin: one guard.
#[derive(Debug)]
pub struct Auth {
    guard: KeyGuard,
}

impl Plugin for Auth {
    type Config = Config;
    const NAME: &'static str = "auth";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        Ok(Self {
            guard: KeyGuard::new(config)?,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(self.guard.clone());
    }
}

export_plugin!(Auth);

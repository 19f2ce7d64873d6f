//! Endpoints for operators: public, private and streaming routes.

mod echo;
mod health;
mod raw;
mod ticks;

use mortise_plugin_api::PathPrefix;
use mortise_plugin_api::prelude::*;

/// The plugin: one mount.
#[derive(Debug)]
pub struct OpsEndpoints {
    prefix: PathPrefix,
    host: Host,
}

/// The `config` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What all paths begin with, below the server's base path; such as `/internal`.
    pub prefix: PathPrefix,
}

impl Plugin for OpsEndpoints {
    type Config = Config;
    const NAME: &'static str = "ops-endpoints";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        Ok(Self {
            prefix: config.prefix,
            host,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.mount(
            Mount::below_base(self.prefix.to_string())
                .endpoint(health::endpoint())
                .endpoint(echo::endpoint())
                .endpoint(ticks::endpoint(self.host.clone()))
                .endpoint(raw::endpoint()),
        );
    }
}

export_plugin!(OpsEndpoints);

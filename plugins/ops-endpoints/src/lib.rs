//! Endpoints for operators: public, private and streaming routes.

mod echo;
mod health;
mod raw;
mod ticks;

use mortise_plugin_api::prelude::*;

/// The plugin: one mount.
#[derive(Debug)]
pub struct OpsEndpoints {
    prefix: String,
    host: Host,
}

/// The `config` table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What all paths begin with, below the server's base path; such as `/internal`.
    pub prefix: String,
}

impl Plugin for OpsEndpoints {
    type Config = Config;
    const NAME: &'static str = "ops-endpoints";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        let prefix = config.prefix.trim_end_matches('/').to_owned();
        if !prefix.is_empty() && !prefix.starts_with('/') {
            return Err(Error::config("/prefix", "does not begin with `/`"));
        }
        Ok(Self { prefix, host })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.mount(
            Mount::below_base(self.prefix.as_str())
                .endpoint(health::endpoint())
                .endpoint(echo::endpoint())
                .endpoint(ticks::endpoint(self.host.clone()))
                .endpoint(raw::endpoint()),
        );
    }
}

export_plugin!(OpsEndpoints);

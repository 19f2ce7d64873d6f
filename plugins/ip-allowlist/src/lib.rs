//! An allow-list of addresses for Mortise: a guard that lets in networks, and keeps others out.

mod client;
mod config;
mod guard;
mod networks;

use mortise_plugin_api::prelude::*;

pub use crate::config::Config;
use crate::guard::AddressGuard;

/// The plugin: one guard.
#[derive(Debug)]
pub struct IpAllowlist {
    guard: AddressGuard,
}

impl Plugin for IpAllowlist {
    type Config = Config;
    const NAME: &'static str = "ip-allowlist";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        Ok(Self {
            guard: AddressGuard::new(config)?,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(self.guard.clone());
    }
}

export_plugin!(IpAllowlist);

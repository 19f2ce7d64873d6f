//! JSON Web Tokens for Mortise: a guard that knows who signed them and for whom.

mod algorithm;
mod claims;
mod config;
mod guard;
mod issuer;
mod json;
mod key;
mod keyring;
mod memory;
mod refusal;
mod rules;
mod token;

use mortise_plugin_api::prelude::*;

pub use crate::config::{Algorithm, Config, IssuerConfig, KeyConfig, RuleConfig, Span};
use crate::guard::TokenGuard;

/// The plugin: one guard.
#[derive(Debug)]
pub struct JwtAuth {
    guard: TokenGuard,
}

impl Plugin for JwtAuth {
    type Config = Config;
    const NAME: &'static str = "jwt-auth";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        Ok(Self {
            guard: TokenGuard::new(config, host)?,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(self.guard.clone());
    }
}

export_plugin!(JwtAuth);

//! Rate limits for Mortise: windows, buckets and places, by principal, address, header or agent.
//!
//! The server counts, so that an instance that is made anew goes on where it was.

mod answer;
mod config;
mod guard;
mod key;
mod rule;
mod standing;

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

pub use crate::config::{Config, Headers, Kind, OnStoreError, RuleConfig};
use crate::guard::RateGuard;
use crate::standing::{StandingHeaders, Standings};

/// The plugin: a guard, and a hook for the headers where every reply has them.
#[derive(Debug)]
pub struct RateLimit {
    guard: RateGuard,
    standings: Option<Arc<Standings>>,
}

impl Plugin for RateLimit {
    type Config = Config;
    const NAME: &'static str = "rate-limit";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        let standings = match config.headers {
            Headers::Always => Some(Arc::<Standings>::default()),
            Headers::Refused => None,
        };
        Ok(Self {
            guard: RateGuard::new(config, host, standings.clone())?,
            standings,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(self.guard.clone());
        if let Some(standings) = &self.standings {
            registrar.hook(StandingHeaders::new(Arc::clone(standings)));
        }
    }
}

export_plugin!(RateLimit);

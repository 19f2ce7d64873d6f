//! JSON Web Tokens for Mortise: a guard that knows who signed them and for whom.

mod algorithm;
mod claims;
mod config;
mod guard;
mod issuer;
mod json;
mod key;
mod key_set;
mod keyring;
mod memory;
mod refusal;
mod rules;
mod source;
#[cfg(test)]
mod testing;
mod token;

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use mortise_plugin_api::prelude::*;
use tokio::task::JoinSet;

pub use crate::config::{Algorithm, Config, IssuerConfig, JwksConfig, KeyConfig, RuleConfig};
use crate::guard::TokenGuard;
use crate::key_set::KeySet;

/// The plugin: one guard, and what keeps its key sets fresh.
#[derive(Debug)]
pub struct JwtAuth {
    guard: TokenGuard,
    /// Aborted when dropped, so that an instance whose start failed leaves nothing behind.
    reading: Mutex<JoinSet<()>>,
}

impl Plugin for JwtAuth {
    type Config = Config;
    const NAME: &'static str = "jwt-auth";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        Ok(Self {
            guard: TokenGuard::new(config, host)?,
            reading: Mutex::default(),
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(self.guard.clone());
    }

    async fn start(&self) -> Result<()> {
        // Together: each may take its timeout, and a start may not take all of them.
        let first_readings = self.guard.key_sets().map(KeySet::start);
        for keep_reading in try_join_all(first_readings).await? {
            self.reading().spawn(keep_reading);
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        let mut reading = std::mem::take(&mut *self.reading());
        reading.shutdown().await;
        Ok(())
    }
}

impl JwtAuth {
    fn reading(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

export_plugin!(JwtAuth);

//! `mortise serve`.

use std::path::PathBuf;

use super::exit::Failure;
use super::{ConfigArgs, ServeArgs};
use crate::app::{App, StartError};
use crate::config::{self, Config, ConfigSource, ProcessEnvironment};

pub(super) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    let (_, config) = load_config(&arguments.config)?;
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let app = App::build(config, &arguments.plugins).await?;
        app.serve().await
    });
    // A plugin may hold a blocking thread for ever: the process does not wait for it.
    runtime.shutdown_background();
    Ok(served?)
}

/// Finds and reads the configuration, and starts the log that it asks for.
pub(super) fn load_config(arguments: &ConfigArgs) -> Result<(PathBuf, Config), Failure> {
    let path = config::find(arguments.config.clone(), &ProcessEnvironment)?;
    let config = Config::load(ConfigSource::File(path.clone()), &ProcessEnvironment)?;
    let overriding = std::env::var(crate::telemetry::LOG_VARIABLE).ok();
    crate::telemetry::start(&config.log, overriding.as_deref()).map_err(StartError::Log)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok((path, config))
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::Runtime)
}

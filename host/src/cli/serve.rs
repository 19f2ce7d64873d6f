//! `mortise serve`.

use std::path::PathBuf;

use super::exit::{self, Failure};
use super::{ConfigArgs, ServeArgs};
use crate::app::{App, AppBuilder, StartCause, StartError};
use crate::config::{self, Config, ConfigSource, ProcessEnvironment};

pub(super) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    let (_, config) = load_config(&arguments.config)?;
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let builder = App::builder(config);
        let builder = arguments.plugins.iter().fold(builder, AppBuilder::library);
        let server = builder.build().await?.listen().await?;
        for url in server.urls() {
            exit::print(&format!("listening on {url}"));
        }
        server.serve().await;
        Ok::<(), StartError>(())
    });
    // A plugin may hold a blocking thread for ever: the process does not wait for it.
    runtime.shutdown_background();
    Ok(served?)
}

/// Finds and reads the configuration, and starts the log that it asks for.
pub(super) fn load_config(arguments: &ConfigArgs) -> Result<(PathBuf, Config), Failure> {
    let path = config::find(arguments.config.clone(), &ProcessEnvironment)?;
    let config = Config::load(ConfigSource::File(path.clone()), &ProcessEnvironment)?;
    let overriding = std::env::var(super::log::LOG_VARIABLE).ok();
    super::log::start(&config.log, overriding.as_deref())
        .map_err(|error| StartError::from(StartCause::Log(error)))?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok((path, config))
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    Ok(runtime.map_err(StartCause::Runtime)?)
}

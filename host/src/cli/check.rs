//! `mortise check`: everything that `serve` does, but serve.

use super::ConfigArgs;
use super::exit::{self, Failure};
use super::serve::{load_config, runtime};
use crate::app::App;
use crate::config::{self, ConfigSource, ProcessEnvironment};

pub(super) fn run(arguments: &ConfigArgs) -> Result<(), Failure> {
    let path = config::find(arguments.config.clone(), &ProcessEnvironment)?;
    let config = load_config(ConfigSource::File(path.clone()), &ProcessEnvironment)?;
    let runtime = runtime()?;
    runtime.block_on(async { App::builder(config).build().await?.check().await })?;
    exit::print(&format!("{} is fine", path.display()));
    Ok(())
}

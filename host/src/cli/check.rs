//! `mortise check`: everything that `serve` does, but serve.

use super::ConfigArgs;
use super::exit::{self, Failure};
use super::serve::{load_config, runtime};
use crate::app::App;
use crate::config::ProcessEnvironment;

pub(super) fn run(arguments: &ConfigArgs) -> Result<(), Failure> {
    let (path, config) = load_config(arguments, &ProcessEnvironment)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let app = App::builder(config).build().await?;
        app.discard().await;
        Ok::<(), Failure>(())
    })?;
    exit::print(&format!("{} is fine", path.display()));
    Ok(())
}

//! Small server tools: arithmetic, the time, and notes behind an approval.

mod add;
mod clock;
mod notes;

use mortise_plugin_api::prelude::*;

use crate::add::Add;
use crate::clock::Clock;
use crate::notes::{Notebook, Recall, Remember};

/// The plugin: no configuration, four tools.
#[derive(Debug)]
pub struct Toolbox {
    host: Host,
}

impl Plugin for Toolbox {
    type Config = NoConfig;
    const NAME: &'static str = "toolbox";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const GRANTS: &'static [&'static str] = &["state"];

    fn create(_config: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn register(&self, registrar: &mut Registrar) {
        let notebook = Notebook::new(self.host.clone());
        registrar
            .tool(Add)
            .tool(Clock::new(self.host.clone()))
            .tool(Remember::new(notebook.clone()))
            .tool(Recall::new(notebook));
    }
}

export_plugin!(Toolbox);

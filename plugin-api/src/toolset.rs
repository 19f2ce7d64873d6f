//! Tools that come and go while the plugin runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::ffi::DynTool;
use crate::host::Host;
use crate::tool::Tool;

/// Tools that are known only once the plugin runs, and may change: those of another server, say.
///
/// Made in [`Plugin::create`](crate::Plugin::create), offered with
/// [`Registrar::toolset`](crate::Registrar::toolset), and filled from
/// [`Plugin::start`](crate::Plugin::start) on. Cheap to clone; clones are the same set.
///
/// A run has the tools that were there when it began. A tool that has gone since can still be
/// called by such a run, so its `call` says what is the matter.
///
/// ```
/// use mortise_plugin_api::prelude::*;
///
/// struct Echo(String);
///
/// impl Tool for Echo {
///     fn info(&self) -> ToolInfo {
///         ToolInfo::without_arguments(self.0.as_str(), "Says its name")
///     }
///
///     async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
///         Ok(self.0.as_str().into())
///     }
/// }
///
/// struct Echoes {
///     tools: Toolset,
/// }
///
/// impl Plugin for Echoes {
///     type Config = NoConfig;
///     const NAME: &'static str = "echoes";
///     const VERSION: &'static str = "0.1.0";
///
///     fn create(_config: NoConfig, host: Host) -> Result<Self> {
///         let tools = Toolset::new(host);
///         Ok(Self { tools })
///     }
///
///     fn register(&self, registrar: &mut Registrar) {
///         registrar.toolset(&self.tools);
///     }
///
///     async fn start(&self) -> Result<()> {
///         self.tools.replace([Echo("here".to_owned()), Echo("there".to_owned())]).await
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Toolset {
    host: Host,
    tools: Arc<Mutex<Vec<Arc<dyn DynTool>>>>,
}

// === impl Toolset ===

impl Toolset {
    /// A set without tools.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            tools: Arc::default(),
        }
    }

    /// Puts these in the place of those that were there, for every run that begins from now on.
    ///
    /// A single tool that cannot be offered, because of its name or its schema, is left out with a
    /// warning in the log.
    ///
    /// # Errors
    /// When an agent of the configuration would have two tools of one name; then everything stays
    /// as it was.
    pub async fn replace<T: Tool>(&self, tools: impl IntoIterator<Item = T>) -> Result<()> {
        let tools = tools
            .into_iter()
            .map(|tool| Arc::new(tool) as Arc<dyn DynTool>);
        let before = std::mem::replace(&mut *self.known(), tools.collect());
        let changed = self.host.tools_changed().await;
        if changed.is_err() {
            *self.known() = before;
        }
        changed
    }

    pub(crate) fn tools(&self) -> Vec<Arc<dyn DynTool>> {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<dyn DynTool>>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toolset")
            .field("tools", &self.known().len())
            .finish_non_exhaustive()
    }
}

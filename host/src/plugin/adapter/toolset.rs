//! The tools of an instance whose tools come and go.

use std::sync::Arc;

use mortise_plugin_api::{Error, Result};

use super::{ToolAdapter, adapters};
use crate::plugin::capability::{ToolCapability, ToolsetCapability};
use crate::plugin::instance::Instance;

pub(in crate::plugin) struct ToolsetAdapter {
    instance: Arc<Instance>,
}

// === impl ToolsetAdapter ===

impl ToolsetAdapter {
    /// That of an instance which has one.
    pub(in crate::plugin) fn of(instance: &Arc<Instance>) -> Option<Self> {
        instance.object().has_toolsets().then(|| Self {
            instance: Arc::clone(instance),
        })
    }
}

impl ToolsetCapability for ToolsetAdapter {
    fn tools(&self) -> Result<Vec<Arc<dyn ToolCapability>>> {
        self.instance.call_now("tools", || {
            let tools = adapters(
                &self.instance,
                self.instance.object().tools(),
                ToolAdapter::new,
            )
            .map_err(|error| Error::invalid(error.to_string()))?;
            let tools = tools.into_iter();
            Ok(tools
                .map(|tool| Arc::new(tool) as Arc<dyn ToolCapability>)
                .collect())
        })
    }
}

//! Coded agents of libraries.

use std::sync::Arc;

use mortise_plugin_abi::AgentObject;
use mortise_plugin_api::ffi::convert;
use mortise_plugin_api::{AgentInfo, Item, Result, RunResult};

use crate::plugin::capability::{AgentCapability, BoxFuture, RunServices};
use crate::plugin::error::LoadError;
use crate::plugin::instance::Instance;

pub(in crate::plugin) struct AgentAdapter {
    info: AgentInfo,
    object: AgentObject,
    instance: Arc<Instance>,
}

// === impl AgentAdapter ===

impl AgentAdapter {
    pub(in crate::plugin) fn new(
        object: AgentObject,
        instance: Arc<Instance>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            info: super::info(instance.name(), "an agent", &object.info())?,
            object,
            instance,
        })
    }
}

impl AgentCapability for AgentAdapter {
    fn info(&self) -> &AgentInfo {
        &self.info
    }

    fn run(
        &self,
        run: Arc<dyn RunServices>,
        input: &[Item],
    ) -> BoxFuture<'static, Result<RunResult>> {
        self.instance.call(
            "agent.run",
            || {
                let input = convert::to_json(input)?;
                Ok(self.object.run(self.instance.crossed(run), input))
            },
            |_, result| convert::from_json(&result),
        )
    }
}

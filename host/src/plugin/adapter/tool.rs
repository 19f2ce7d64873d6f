//! Tools of libraries.

use std::sync::Arc;

use mortise_plugin_abi::ToolObject;
use mortise_plugin_api::ffi::convert;
use mortise_plugin_api::{ApprovalDecision, Result, ToolInfo};
use serde_json::Value;

use crate::plugin::capability::{BoxFuture, RunServices, ToolCapability};
use crate::plugin::error::LoadError;
use crate::plugin::instance::Instance;

pub(in crate::plugin) struct ToolAdapter {
    info: ToolInfo,
    object: ToolObject,
    instance: Arc<Instance>,
}

// === impl ToolAdapter ===

impl ToolAdapter {
    pub(in crate::plugin) fn new(
        object: ToolObject,
        instance: Arc<Instance>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            info: super::info(instance.name(), "a tool", &object.info())?,
            object,
            instance,
        })
    }
}

impl ToolCapability for ToolAdapter {
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    fn approval(
        &self,
        run: Arc<dyn RunServices>,
        arguments: &Value,
    ) -> BoxFuture<'static, Result<ApprovalDecision>> {
        self.instance.call(
            "tool.approval",
            || {
                let arguments = convert::to_json(arguments)?;
                Ok(self.object.approval(self.instance.crossed(run), arguments))
            },
            |_, decision| convert::from_json(&decision),
        )
    }

    fn call(
        &self,
        run: Arc<dyn RunServices>,
        arguments: &Value,
    ) -> BoxFuture<'static, Result<Value>> {
        self.instance.call(
            "tool.call",
            || {
                let arguments = convert::to_json(arguments)?;
                Ok(self.object.call(self.instance.crossed(run), arguments))
            },
            |_, result| convert::from_json(&result),
        )
    }
}

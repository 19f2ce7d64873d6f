//! Tools, from the author's trait to the one that crosses.

use std::sync::Arc;

use serde_json::Value;

use super::abi::stable::{RString, TD_Opaque};
use super::abi::{self, AbiBytes, AbiFuture, AbiResult, RunObject, ToolObject};
use super::convert;
use super::guard::{self, Safe};
use crate::backend::BoxFuture;
use crate::error::Result;
use crate::host::Host;
use crate::run::RunContext;
use crate::tool::{ApprovalDecision, Tool, ToolInfo};

/// [`Tool`], as an object.
pub(crate) trait DynTool: Send + Sync {
    fn info(&self) -> ToolInfo;
    fn approval(
        self: Arc<Self>,
        run: RunContext,
        arguments: Value,
    ) -> BoxFuture<'static, Result<ApprovalDecision>>;
    fn call(
        self: Arc<Self>,
        run: RunContext,
        arguments: Value,
    ) -> BoxFuture<'static, Result<Value>>;
}

impl<T: Tool> DynTool for T {
    fn info(&self) -> ToolInfo {
        Tool::info(self)
    }

    fn approval(
        self: Arc<Self>,
        run: RunContext,
        arguments: Value,
    ) -> BoxFuture<'static, Result<ApprovalDecision>> {
        Box::pin(async move { Tool::approval(&*self, run, arguments).await })
    }

    fn call(
        self: Arc<Self>,
        run: RunContext,
        arguments: Value,
    ) -> BoxFuture<'static, Result<Value>> {
        Box::pin(async move { Tool::call(&*self, run, arguments).await })
    }
}

struct Adapter {
    tool: Safe<Arc<dyn DynTool>>,
    host: Host,
}

pub(super) fn to_abi(tool: Arc<dyn DynTool>, host: Host) -> ToolObject {
    abi::Tool_TO::from_value(
        Adapter {
            tool: Safe::new(tool),
            host,
        },
        TD_Opaque,
    )
}

impl abi::Tool for Adapter {
    fn info(&self) -> RString {
        super::plugin::info_text(|| self.tool.info())
    }

    fn approval(&self, run: RunObject, arguments: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>> {
        let (tool, host) = (Arc::clone(&self.tool), self.host.clone());
        let decision = Box::pin(async move {
            let run = convert::run_from_abi(run, host);
            tool.approval(run, convert::from_json(&arguments)?).await
        });
        guard::future(decision, |decision| convert::to_json(&decision))
    }

    fn call(&self, run: RunObject, arguments: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>> {
        let (tool, host) = (Arc::clone(&self.tool), self.host.clone());
        let called = Box::pin(async move {
            let run = convert::run_from_abi(run, host);
            tool.call(run, convert::from_json(&arguments)?).await
        });
        guard::future(called, |result| convert::to_json(&result))
    }
}

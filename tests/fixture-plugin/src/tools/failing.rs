//! `boom` and `boom_throw`: errors that say no more than what happened, read by the model or ending the run.

use mortise_plugin_api::prelude::*;

pub(crate) struct Boom;

pub(crate) struct BoomThrow;

impl Tool for Boom {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("boom", "")
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Err(Error::tool("tool exploded"))
    }
}

impl Tool for BoomThrow {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("boom_throw", "").with_error_mode(ToolErrorMode::Throw)
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Err(Error::tool("tool exploded hard"))
    }
}

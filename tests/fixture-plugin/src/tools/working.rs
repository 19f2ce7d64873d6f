//! `emitter` and `slow_tool`: tools that show something or take their time.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use mortise_plugin_api::prelude::*;

use super::no_arguments;

const SLOW: Duration = Duration::from_secs(3);

pub(crate) struct Emitter;

pub(crate) struct SlowTool;

impl Tool for Emitter {
    fn info(&self) -> ToolInfo {
        ToolInfo::with_schema("emitter", "", no_arguments())
    }

    async fn call(&self, run: RunContext, _arguments: Value) -> Result<Value> {
        run.emit_data(Some("p1"), json!({ "progress": 50 })).await?;
        Ok(json!({ "done": true }))
    }
}

impl Tool for SlowTool {
    fn info(&self) -> ToolInfo {
        ToolInfo::with_schema("slow_tool", "", no_arguments())
    }

    async fn call(&self, run: RunContext, _arguments: Value) -> Result<Value> {
        let slept = pin!(run.host().sleep(SLOW));
        let cancelled = pin!(run.cancelled());
        match select(cancelled, slept).await {
            Either::Left(_) => Err(Error::aborted("the sleep was interrupted")),
            Either::Right(_) => Ok(json!("slept")),
        }
    }
}

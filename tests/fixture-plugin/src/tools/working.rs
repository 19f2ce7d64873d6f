//! `emitter` and `slow_tool`: tools that show something or take their time.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

const SLOW: Duration = Duration::from_secs(3);

pub(crate) struct Emitter;

pub(crate) struct SlowTool;

impl Tool for Emitter {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("emitter", "")
    }

    async fn call(&self, run: RunContext, _arguments: Value) -> Result<Value> {
        run.emit_data(Some("p1"), json!({ "progress": 50 })).await?;
        Ok(json!({ "done": true }))
    }
}

impl Tool for SlowTool {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("slow_tool", "")
    }

    async fn call(&self, run: RunContext, _arguments: Value) -> Result<Value> {
        run.sleep(SLOW).await?;
        Ok(json!("slept"))
    }
}

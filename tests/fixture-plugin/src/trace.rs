//! `trace`, `trace_again` and `trace_approved`: tools whose work can be seen from outside, also
//! after a crash.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mortise_plugin_api::prelude::*;

/// Leaves a line for each call.
struct Trace {
    info: ToolInfo,
    file: PathBuf,
}

pub(crate) fn register(registrar: &mut Registrar, file: &Path) {
    for info in [
        info("trace"),
        info("trace_again").idempotent(),
        info("trace_approved").with_approval(),
    ] {
        let file = file.to_owned();
        registrar.tool(Trace { info, file });
    }
}

fn info(name: &str) -> ToolInfo {
    let schema = json!({
        "type": "object",
        "properties": { "ms": { "type": "integer", "minimum": 0 } },
        "additionalProperties": false,
    });
    ToolInfo::of_schema(name, "Leaves a line, and takes its time", schema)
}

impl Tool for Trace {
    fn info(&self) -> ToolInfo {
        self.info.clone()
    }

    async fn call(&self, run: RunContext, arguments: Value) -> Result<Value> {
        let RunInfo {
            run_id,
            tool_call_id,
            ..
        } = run.info();
        let call_id = tool_call_id.as_deref().unwrap_or_default();
        let line = format!("{run_id} {call_id} {}\n", self.info.name);
        // One write, so that the line is there or not, whatever happens to this process.
        File::options()
            .create(true)
            .append(true)
            .open(&self.file)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| Error::internal(format!("no trace was left: {error}")))?;
        let ms = arguments["ms"].as_u64().unwrap_or_default();
        run.sleep(Duration::from_millis(ms)).await?;
        Ok(json!({ "traced": true }))
    }
}

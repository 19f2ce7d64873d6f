//! `Read` and `Bash`: tools of an agent that works in a folder.

use std::path::Path;

use mortise_plugin_api::prelude::*;

pub(crate) struct Read;

pub(crate) struct Bash;

fn text(name: &str) -> Value {
    json!({
        "type": "object",
        "properties": { name: { "type": "string" } },
        "required": [name],
    })
}

impl Tool for Read {
    fn info(&self) -> ToolInfo {
        ToolInfo::of_schema("Read", "Reads a file, its lines numbered", text("path"))
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        let path = arguments["path"].as_str().unwrap_or_default();
        let name = Path::new(path).file_name();
        let name = name.ok_or_else(|| Error::not_found(format!("there is no file {path:?}")))?;
        let lines = std::fs::read_to_string(name)?;
        let numbered = (1..).zip(lines.lines());
        let numbered: Vec<_> = numbered.map(|(at, line)| format!("{at}: {line}")).collect();
        Ok(numbered.join("\n").into())
    }
}

impl Tool for Bash {
    fn info(&self) -> ToolInfo {
        ToolInfo::of_schema("Bash", "Runs nothing", text("command"))
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        let command = arguments["command"].as_str().unwrap_or_default();
        Ok(if command.contains("rm -rf") {
            json!("Permission denied: 'Bash' field 'command' matches a deny rule")
        } else {
            json!("")
        })
    }
}

//! `confirm` and `confirm_gate`: tools that the client runs.

use mortise_plugin_api::prelude::*;

pub(crate) fn confirm() -> ToolInfo {
    let schema = json!({
        "type": "object",
        "properties": { "q": { "type": "string" } },
        "required": ["q"],
        "additionalProperties": false,
    });
    ToolInfo::of_schema("confirm", "", schema)
}

pub(crate) fn confirm_gate() -> ToolInfo {
    ToolInfo::without_arguments("confirm_gate", "").with_approval()
}

//! `wipe`, `wipe_fast` and `maybe`: approvals, with little time, or for some calls only.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

pub(crate) struct Wipe;

pub(crate) struct WipeFast;

pub(crate) struct Maybe;

impl Tool for Wipe {
    fn info(&self) -> ToolInfo {
        let schema = json!({
            "type": "object",
            "properties": { "path": { "type": "string" } },
            "required": ["path"],
            "additionalProperties": false,
        });
        ToolInfo::of_schema("wipe", "", schema)
            .with_approval()
            .with_approval_meta(json!({ "risk": "high" }))
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        Ok(json!({ "wiped": arguments["path"] }))
    }
}

impl Tool for WipeFast {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("wipe_fast", "")
            .with_approval()
            .with_approval_timeout(Duration::from_millis(300))
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(json!("wiped"))
    }
}

impl Tool for Maybe {
    fn info(&self) -> ToolInfo {
        let schema = json!({
            "type": "object",
            "properties": { "amount": { "type": "number" } },
            "required": ["amount"],
        });
        ToolInfo::of_schema("maybe", "", schema).with_approval_per_call()
    }

    async fn approval(&self, _run: RunContext, arguments: Value) -> Result<ApprovalDecision> {
        let amount = &arguments["amount"];
        let large = amount.as_f64().is_some_and(|amount| amount > 100.0);
        Ok(ApprovalDecision::required(large).with_meta(json!({ "amount": amount })))
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        Ok(json!({ "paid": arguments["amount"] }))
    }
}

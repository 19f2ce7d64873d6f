//! `clock`: the time.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::rfc3339;

pub(crate) struct Clock {
    host: Host,
}

// === impl Clock ===

impl Clock {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }
}

impl Tool for Clock {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("clock", "Tells the time, in UTC").idempotent()
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        let now = self.host.now_millis();
        Ok(json!({ "iso": rfc3339(now), "epochMs": now }))
    }
}

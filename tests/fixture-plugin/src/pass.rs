//! A guard that lets everything pass, at once: what does a guard cost?

use mortise_plugin_api::prelude::*;

pub(crate) struct Pass {
    name: String,
}

// === impl Pass ===

impl Pass {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            name: format!("pass-{number}"),
        }
    }
}

impl Hook for Pass {
    fn info(&self) -> HookInfo {
        HookInfo::new(self.name.as_str())
            .on(Stage::Guard)
            .answers_at_once()
    }

    fn guard_now(&self, _request: &Request) -> Result<GuardVerdict> {
        Ok(GuardVerdict::Pass)
    }
}

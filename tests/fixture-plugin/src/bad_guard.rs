//! A guard that fails by itself, where the request asks for it.

use mortise_plugin_api::prelude::*;

pub(crate) struct BadGuard;

impl Hook for BadGuard {
    fn info(&self) -> HookInfo {
        HookInfo::new("bad-guard").on(Stage::Guard)
    }

    async fn guard(&self, request: Request) -> Result<GuardVerdict> {
        if request.json_body()["context"]["explode"] == true {
            return Err(Error::internal("guard exploded"));
        }
        Ok(GuardVerdict::Pass)
    }
}

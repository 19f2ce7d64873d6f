//! A guard that does not authenticate: it refuses or fails where the header `x-gate` says so.

use mortise_plugin_api::prelude::*;

pub(crate) struct Gate;

impl Hook for Gate {
    fn info(&self) -> HookInfo {
        HookInfo::new("gate").on(Stage::Guard)
    }

    async fn guard(&self, request: Request) -> Result<GuardVerdict> {
        match request.header("x-gate") {
            Some("refuse") => Ok(GuardVerdict::Respond(
                Response::json(&json!({ "error": "closed", "message": "The gate is closed." }))?
                    .with_status(403)
                    .with_header("x-closed-until", "noon"),
            )),
            Some("fail") => Err(Error::internal("the gate is stuck")),
            _ => Ok(GuardVerdict::Pass),
        }
    }
}

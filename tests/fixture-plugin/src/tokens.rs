//! A guard that authenticates: `Bearer token-NAME` is the token of NAME.

use mortise_plugin_api::prelude::*;

pub(crate) struct Tokens;

impl Hook for Tokens {
    fn info(&self) -> HookInfo {
        HookInfo::new("tokens")
            .on(Stage::Guard)
            .authenticates_by(&["authorization"])
            .answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        let bearer = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let Some(token) = bearer else {
            return Ok(GuardVerdict::NoCredentials);
        };
        match token.strip_prefix("token-") {
            Some(name) => Ok(GuardVerdict::Authenticated(
                Principal::new(name).with_tenant("tokens"),
            )),
            None => GuardVerdict::refuse(401, "invalid_token", "Invalid token."),
        }
    }
}

//! What clients read: refusals, and how they stand.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::rfc3339;

use crate::key::Key;
use crate::rule::Allowance;

pub(crate) const LIMIT: &str = "x-ratelimit-limit";
pub(crate) const REMAINING: &str = "x-ratelimit-remaining";
pub(crate) const RESET: &str = "x-ratelimit-reset";
const RETRY_AFTER: &str = "retry-after";

/// 429: too many requests.
pub(crate) fn refused(allowance: Allowance, taken: &Taken, key: &Key) -> Result<Response> {
    let limit = allowance.max();
    let mut body = json!({
        "error": "rate_limited",
        "message": "Too many requests.",
        "key": key.shown(),
        "limit": limit,
        "remaining": 0,
    });
    let mut reset = None;
    if matches!(allowance, Allowance::Rate(_)) {
        body["resetAt"] = rfc3339(taken.resets_at).into();
        reset = Some(seconds(taken.resets_at).to_string());
    }
    // Nobody knows when a place is free: soon, mostly.
    let wait = seconds(taken.retry_after_ms).max(1);
    let response = Response::json(&body)?
        .with_status(429)
        .with_header(RETRY_AFTER, wait.to_string())
        .with_header(LIMIT, limit.to_string())
        .with_header(REMAINING, "0");
    Ok(match reset {
        Some(reset) => response.with_header(RESET, reset),
        None => response,
    })
}

/// 503: nobody can count.
pub(crate) fn unavailable() -> Result<Response> {
    let body = json!({
        "error": "service_unavailable",
        "message": "Rate limit storage is unavailable.",
    });
    Ok(Response::json(&body)?.with_status(503))
}

/// Whole seconds, rounded up: who waits so long does not come too early.
pub(crate) fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        let rounded = [0, 1, 999, 1000, 1001].map(seconds);
        assert_eq!(rounded, [0, 1, 1, 1, 2]);
    }
}

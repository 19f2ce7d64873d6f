//! Errors as they stand in events.
//!
//! A leaf: what a code means is the SDK's, since plugins read and write the same.

use http::StatusCode;
use mortise_plugin_api::{Error, Problem};
use serde_json::{Value, json};

/// What an error's context tells of when to come back, in seconds.
pub(crate) const RETRY_AFTER: &str = "retryAfterSeconds";

/// An error as it stands in events: the form of RFC 7807.
pub(crate) fn problem(error: &Error) -> Value {
    let (code, status) = (error.public_code(), error.status());
    let title = match Problem::meaning(code) {
        (meant, title) if meant == status => title,
        // It has a status of its own.
        _ => StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error"),
    };
    let slug = code.to_ascii_lowercase().replace('_', "-");
    let mut problem = json!({
        "type": format!("https://better-agent.com/docs/concepts/errors#{slug}"),
        "title": title,
        "status": status,
        "detail": error.message(),
        "code": code,
        "retryable": error.is_retryable(),
    });
    if let Some(context) = error.for_clients().context() {
        problem["context"] = Value::Object(context.clone());
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_its_own_has_its_own_title() {
        let lent = Error::new("BOOK_LENT", "lent").with_context("by", "ann");
        let shown = problem(&lent.clone().with_status(409));
        assert_eq!(
            (&shown["status"], &shown["title"]),
            (&json!(409), &json!("Conflict"))
        );
        assert_eq!(shown["context"]["by"], "ann");
        assert_eq!(problem(&lent.with_status(200))["status"], 500);
        let inside = problem(
            &Error::internal("x")
                .with_status(404)
                .with_context("by", "ann"),
        );
        assert_eq!(
            (&inside["status"], &inside["code"]),
            (&json!(500), &json!("INTERNAL"))
        );
        assert!(inside.get("context").is_none());
    }
}

//! Error codes and what they mean on the wire: the status and title that go with each.
//!
//! A leaf, since the same numbers stand in responses and inside `RUN_ERROR` events.

use mortise_plugin_api::{Error, Problem};
use serde_json::{Map, Value, json};

/// The status, the title and the retryability of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeInfo {
    pub(crate) status: u16,
    pub(crate) title: &'static str,
}

/// The code of failures whose text stays inside.
pub(crate) const INTERNAL: &str = "INTERNAL";

/// What an error's context tells of when to come back, in seconds.
pub(crate) const RETRY_AFTER: &str = "retryAfterSeconds";

/// What clients read in place of an internal failure.
pub(crate) const MASKED: &str = "Server request failed.";

/// What a code means; one that is not listed is a failure of the server.
pub(crate) fn code_info(code: &str) -> CodeInfo {
    let (status, title) = Problem::meaning(code);
    CodeInfo { status, title }
}

/// The code that clients read: a contained panic and an error without a code are internal.
pub(crate) fn public_code(error: &Error) -> &str {
    match error.code() {
        Some(code) if code != Error::PANIC => code,
        _ => INTERNAL,
    }
}

/// An error as it stands in events: the form of RFC 7807.
pub(crate) fn problem(error: &Error) -> Value {
    let code = public_code(error);
    let CodeInfo { status, title } = code_info(code);
    let slug = code.to_ascii_lowercase().replace('_', "-");
    let mut problem = json!({
        "type": format!("https://better-agent.com/docs/concepts/errors#{slug}"),
        "title": title,
        "status": status,
        "detail": error.message(),
        "code": code,
        "retryable": error.is_retryable(),
    });
    if let (Some(context), Some(object)) = (public_context(error), problem.as_object_mut()) {
        object.insert("context".into(), Value::Object(context.clone()));
    }
    problem
}

/// The context, where it may be shown.
pub(crate) fn public_context(error: &Error) -> Option<&Map<String, Value>> {
    if public_code(error) == INTERNAL {
        None
    } else {
        error.context()
    }
}

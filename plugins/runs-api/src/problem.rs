//! Errors as problems of the types that clients know.

use mortise_plugin_api::Problem;
use mortise_plugin_api::prelude::*;

/// What an error of this plugin says about its type.
const KIND: &str = "problem";

/// There is no such thing, or the caller may not see it: both read the same.
pub(crate) fn missing(resource: &str, identifier: &str) -> Error {
    Error::not_found(format!("{resource} not found: {identifier}"))
        .with_context(KIND, "resource-not-found")
        .with_context("resourceName", resource)
        .with_context("identifier", identifier)
}

/// A field has a value that it may not have.
pub(crate) fn invalid(field: &str, message: &str) -> Error {
    Error::bad_request(format!("{field} {message}")).with_issue(field, message)
}

/// A body that is not read; one that only lacks a field is invalid instead.
pub(crate) fn of_body(error: Error) -> Error {
    match error.issues() {
        [issue] if issue.message == "is required" => {
            invalid(issue.path.trim_start_matches('/'), &issue.message)
        }
        _ if error.code() == Some("BAD_REQUEST") => {
            Error::bad_request(error.message()).with_context(KIND, "malformed-request-body")
        }
        _ => error,
    }
}

/// There is nothing to decide on.
pub(crate) fn not_waiting(run_id: &str) -> Error {
    let message = format!("The run '{run_id}' does not wait for a decision.");
    Error::new("CONFLICT", message).with_context(KIND, "stale-data")
}

/// The session is in a run that waits for a decision: nobody else's turn comes before that.
pub(crate) fn undecided(session: &str, run_id: &str) -> Error {
    let message = format!(
        "The session '{session}' waits for a decision on its run '{run_id}': decide on it, or delete it."
    );
    Error::new("CONFLICT", message)
        .with_context(KIND, "stale-data")
        .with_context("runId", run_id)
}

/// Every error on the routes of this plugin, also those of the server and of guards.
pub(crate) fn render(error: &RouteError) -> Response {
    // What does not fit a schema is a bad request here.
    let status = error.status;
    let status = if status == 422 { 400 } else { status };
    let known = |key: &str| error.context.as_ref().map_or(&Value::Null, |it| &it[key]);
    let kind = known(KIND).as_str();
    let kind = kind.unwrap_or_else(|| kind_of(status, !error.issues.is_empty()));
    let masked = (status == 500).then_some("An unexpected error occurred.");
    let detail = masked.unwrap_or(&error.message);
    let invalid = error.issues.iter().map(
        |issue| json!({ "field": issue.path.trim_start_matches('/'), "message": issue.message }),
    );
    let problem = Problem::new(status)
        .with("type", format!("urn:problem-type:{kind}"))
        .with("title", title(kind))
        .with("detail", detail)
        .with("invalidParams", invalid.collect::<Value>());
    ["resourceName", "identifier", "runId"]
        .into_iter()
        .fold(problem, |problem, key| {
            problem.with(key, known(key).clone())
        })
        .into_response()
}

fn kind_of(status: u16, has_issues: bool) -> &'static str {
    match status {
        400 if has_issues => "invalid-request",
        400 => "invalid-argument",
        401 => "unauthorized",
        402 => "finops-budget-exhausted",
        403 => "forbidden",
        404 => "not-found",
        405 => "method-not-allowed",
        409 => "stale-data",
        413 => "payload-too-large",
        415 => "unsupported-media-type",
        429 => "rate-limit-exceeded",
        500 => "internal-server-error",
        _ => "response-status",
    }
}

/// `resource-not-found` as `Resource not found`.
fn title(kind: &str) -> String {
    let mut title = kind.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

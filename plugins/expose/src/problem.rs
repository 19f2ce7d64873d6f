//! Errors as problems, and what of them is told.

use mortise_plugin_api::Problem;
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::schema::Issue;

/// The header by which a client follows a request: it is sent back, and stands in problems.
pub(crate) const TRACE: &str = "x-trace-id";

/// What an error says of the values that do not fit.
pub(crate) const ERRORS: &str = "errors";

/// What clients read of a failure that is the server's own affair.
pub(crate) const MASKED: &str = "Internal Server Error";

/// Whether clients are told what this is: what a provider failed with, or what an agent made that
/// does not fit, is the server's own affair.
pub(crate) fn is_handled(code: &str) -> bool {
    !["INTERNAL", "UPSTREAM_FAILED", "VALIDATION_FAILED"].contains(&code)
}

/// The status that clients read of an error with this one.
pub(crate) fn shown_status(code: &str, status: u16) -> u16 {
    match status {
        _ if !is_handled(code) => 500,
        499 => 409, // The run was aborted, and the client is still there.
        status => status,
    }
}

/// What a request says to follow it by, of its header.
pub(crate) fn trace(header: Option<&str>) -> Option<&str> {
    header.filter(|trace| !trace.is_empty())
}

/// An issue as clients read it: a code, the place as a list, and a sentence.
pub(crate) fn issue(issue: &Issue) -> Value {
    let code = match &*issue.keyword {
        "minLength" | "minItems" | "minProperties" | "minimum" | "exclusiveMinimum" => "too_small",
        "maxLength" | "maxItems" | "maxProperties" | "maximum" | "exclusiveMaximum" => "too_big",
        "type" | "required" => "invalid_type",
        "enum" | "const" => "invalid_value",
        "format" | "pattern" => "invalid_format",
        "multipleOf" => "not_multiple_of",
        "additionalProperties" | "unevaluatedProperties" => "unrecognized_keys",
        _ => "custom",
    };
    json!({ "code": code, "path": issue.place(), "message": issue.message, "params": issue.params })
}

/// Every error on the routes of this plugin, also those of the server and of guards.
pub(crate) fn render(error: &RouteError) -> Response {
    let is_handled = is_handled(&error.code);
    let status = shown_status(&error.code, error.status);
    let mut problem = Problem::new(status);
    // Who is not let in is not told why.
    if is_handled && status != 401 {
        let mut details = error.context.clone().unwrap_or_default();
        let errors = details.as_object_mut().and_then(|all| all.remove(ERRORS));
        let has_details = details.as_object().is_some_and(|all| !all.is_empty());
        problem = problem
            .with("detail", &*error.message)
            .with(ERRORS, errors)
            .with("details", has_details.then_some(details));
    } else {
        let title = problem.members()["title"].clone();
        problem = problem.with("detail", title);
    }
    let request = error.request.as_ref();
    let trace = trace(request.and_then(|request| request.header(TRACE)));
    problem = problem
        .with("instance", request.map(|request| &*request.path))
        .with("traceId", trace.or(request.map(|request| &*request.id)));
    let mut response = problem.into_accepted(request);
    if status == 401 {
        response = response.with_header("www-authenticate", "Bearer");
    }
    match trace {
        Some(trace) => response.with_header(TRACE, trace.to_owned()),
        None => response,
    }
}

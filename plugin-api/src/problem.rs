//! Problems: errors as RFC 9457 writes them.

use serde_json::{Map, Value};

use crate::response::Response;
use crate::route_error::{RouteError, RouteRequest};

/// An error as RFC 9457 writes it: an `application/problem+json` body with members of the
/// plugin's own.
///
/// ```
/// use mortise_plugin_api::Problem;
/// use mortise_plugin_api::prelude::*;
///
/// fn mount() -> Mount {
///     Mount::at_base().render_error(|error| {
///         let request = error.request.as_ref();
///         Problem::of(error)
///             .with("instance", request.map(|request| request.path.as_str()))
///             .with("traceId", request.map(|request| request.id.as_str()))
///             .with("errors", json!(error.issues))
///             .into_response()
///     })
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: u16,
    members: Map<String, Value>,
}

// === impl Problem ===

impl Problem {
    /// The media type of its body.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// The status that the server answers with for a code, and what it calls it. A code that it does
    /// not know is a failure of the server, unless the error has a status of its own:
    /// [`Error::with_status`](crate::Error::with_status).
    pub fn meaning(code: &str) -> (u16, &'static str) {
        match code {
            "BAD_REQUEST" => (400, "Bad Request"),
            "UNAUTHORIZED" => (401, "Unauthorized"),
            "FORBIDDEN" => (403, "Forbidden"),
            "NOT_FOUND" => (404, "Not Found"),
            "METHOD_NOT_ALLOWED" => (405, "Method Not Allowed"),
            "REQUEST_TIMEOUT" => (408, "Request Timeout"),
            "CONFLICT" => (409, "Conflict"),
            "PAYLOAD_TOO_LARGE" => (413, "Payload Too Large"),
            "UNSUPPORTED_MEDIA_TYPE" => (415, "Unsupported Media Type"),
            "VALIDATION_FAILED" => (422, "Unprocessable Entity"),
            "GUARDRAIL_INPUT_BLOCKED" => (422, "Input Blocked"),
            "GUARDRAIL_OUTPUT_BLOCKED" => (422, "Output Blocked"),
            "RATE_LIMITED" => (429, "Too Many Requests"),
            "ABORTED" => (499, "Client Closed Request"),
            "UPSTREAM_FAILED" => (502, "Upstream Failed"),
            "UNAVAILABLE" => (503, "Service Unavailable"),
            "TIMEOUT" => (504, "Gateway Timeout"),
            _ => (500, "Internal Server Error"),
        }
    }

    /// A problem of the type `about:blank`, with what HTTP calls the status as its title.
    pub fn new(status: u16) -> Self {
        let known = http::StatusCode::from_u16(status).ok();
        let title = known.and_then(|status| status.canonical_reason());
        let problem = Self {
            status,
            members: Map::new(),
        };
        problem
            .with("type", "about:blank")
            .with("title", title.unwrap_or("Error"))
            .with("status", status)
    }

    /// An error of a route, with its message as the detail. Neither its context nor its issues are
    /// shown.
    pub fn of(error: &RouteError) -> Self {
        Self::new(error.status).with("detail", error.message.as_str())
    }

    /// Sets a member; null, an empty list and `None` leave it out.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => self.members.remove(key),
            Value::Array(list) if list.is_empty() => self.members.remove(key),
            value => self.members.insert(key.to_owned(), value),
        };
        self
    }

    /// Its members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// The response.
    pub fn into_response(self) -> Response {
        Response::new(self.status)
            .with_header("content-type", Self::CONTENT_TYPE)
            .with_body(Value::Object(self.members).to_string())
    }

    /// The response in the form that the request accepts, with its character set: title and detail
    /// as Markdown where it names `text/markdown`, and wants no JSON as much.
    pub fn into_accepted(self, request: Option<&RouteRequest>) -> Response {
        let accepted = request.and_then(|request| request.header("accept"));
        let (kind, body) = if accepted.is_some_and(prefers_markdown) {
            let text = |key| self.members.get(key).and_then(Value::as_str);
            let (title, detail) = (text("title"), text("detail").unwrap_or_default());
            let body = format!("# {}\n\n{detail}\n", title.unwrap_or_default());
            ("text/markdown", body)
        } else {
            (Self::CONTENT_TYPE, Value::Object(self.members).to_string())
        };
        Response::new(self.status)
            .with_header("content-type", format!("{kind}; charset=utf-8"))
            .with_header("vary", "accept")
            .with_body(body)
    }
}

/// Whether an `accept` header names Markdown, and no JSON with the same weight.
fn prefers_markdown(accepted: &str) -> bool {
    // By weight, and a kind that is named before one that `*` stands for.
    let (mut markdown, mut json) = (None, None);
    for range in accepted.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.eq_ignore_ascii_case("q").then(|| value.parse().ok())?
        });
        let weight: f32 = weight.unwrap_or(1.0);
        let (wanted, precision) = match &*kind {
            "text/markdown" => (&mut markdown, 2),
            "application/json" | Problem::CONTENT_TYPE => (&mut json, 2),
            "application/*" => (&mut json, 1),
            "*/*" => (&mut json, 0),
            _ => continue,
        };
        if weight > 0.0 && wanted.is_none_or(|known| (weight, precision) > known) {
            *wanted = Some((weight, precision));
        }
    }
    markdown > json
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Error;

    #[test]
    fn a_problem_has_the_members_of_the_standard_and_those_that_are_set() {
        let error = RouteError::new(404, &Error::not_found("no such book"));
        let problem = Problem::of(&error)
            .with("traceId", "t1")
            .with("details", Value::Null)
            .with("errors", json!([]));
        let expected = json!({
            "type": "about:blank", "title": "Not Found", "status": 404,
            "detail": "no such book", "traceId": "t1",
        });
        assert_eq!(Value::Object(problem.members().clone()), expected);
        let response = problem.into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(response.header("content-type"), Some(Problem::CONTENT_TYPE));
    }

    #[tokio::test]
    async fn who_asks_for_markdown_reads_a_text() {
        let problem = || Problem::new(404).with("detail", "no such book");
        let accept = ("accept".to_owned(), "text/markdown, */*".to_owned());
        let request = RouteRequest::new("req_1", "/books/7", [accept]);
        let markdown = problem().into_accepted(Some(&request));
        assert_eq!(markdown.header("vary"), Some("accept"));
        let text = markdown.into_body().text().await.unwrap();
        assert_eq!(text, "# Not Found\n\nno such book\n");
        let json = problem().into_accepted(None);
        let kind = Some("application/problem+json; charset=utf-8");
        assert_eq!(json.header("content-type"), kind);
        assert_eq!(json.header("vary"), Some("accept"));
    }
    #[test]
    fn markdown_is_for_those_who_prefer_it_to_json() {
        for (accepted, expected) in [
            ("text/markdown", true),
            ("Text/Markdown; charset=utf-8", true),
            ("text/markdown, */*", true),
            ("application/json;q=0.5, text/markdown;q=0.9", true),
            ("", false),
            ("text/markdownish", false),
            ("text/markdown;q=0", false),
            ("text/markdown, application/json", false),
            ("application/problem+json, text/markdown", false),
            ("text/markdown;q=0.5, */*", false),
            ("text/*", false),
        ] {
            assert_eq!(prefers_markdown(accepted), expected, "{accepted:?}");
        }
    }
}

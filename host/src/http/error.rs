//! The one rescue: whatever fails on the way becomes a response here.
//!
//! There are two native bodies. A *refusal* by the host (unknown route, missing token, invalid
//! body) has `code`, `message`, `status` and perhaps `issues`. A *thrown* error (by the runtime or
//! a plugin) also says whether it is `retryable`, and shows its context. What has no code is
//! masked: the client reads that the server failed, the log reads why.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use mortise_plugin_api::{Error, Issue, RouteError, RouteRequest};
use serde_json::{Map, Value, json};

use super::plugin_response;
use super::plugin_routes::Mounted;
use crate::problem;
use crate::schema;

/// Why a request is not answered as it asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The host refuses it.
    Refused(Box<Refusal>),
    /// The runtime or a plugin failed.
    Thrown(Error),
    /// A guard has answered it.
    Answered(Box<Response>),
    /// The mount that it goes to has answered instead of letting it in.
    AnsweredByMount(Box<Response>),
}

/// A refusal by the host.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: &'static str,
    message: &'static str,
    status: StatusCode,
    issues: Vec<Issue>,
    header: Option<(HeaderName, HeaderValue)>,
}

// === impl Failure ===

impl Failure {
    fn refused(code: &'static str, status: StatusCode, message: &'static str) -> Self {
        Self::Refused(Box::new(Refusal {
            code,
            message,
            status,
            issues: Vec::new(),
            header: None,
        }))
    }

    pub(super) fn no_route() -> Self {
        Self::not_found("Route not found.")
    }

    pub(super) fn not_found(message: &'static str) -> Self {
        Self::refused("NOT_FOUND", StatusCode::NOT_FOUND, message)
    }

    pub(super) fn method_not_allowed(allow: HeaderValue) -> Self {
        Self::refused(
            "METHOD_NOT_ALLOWED",
            StatusCode::METHOD_NOT_ALLOWED,
            "Request method is not allowed for this route.",
        )
        .with_header(ALLOW, allow)
    }

    pub(super) fn unauthorized() -> Self {
        Self::refused(
            "UNAUTHORIZED",
            StatusCode::UNAUTHORIZED,
            "Missing or invalid bearer token.",
        )
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(super) fn bad_request(message: &'static str) -> Self {
        Self::refused("BAD_REQUEST", StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn uri_too_long() -> Self {
        Self::refused(
            "URI_TOO_LONG",
            StatusCode::URI_TOO_LONG,
            "Request URI is too long.",
        )
    }

    pub(super) fn head_too_large() -> Self {
        Self::refused(
            "HEADERS_TOO_LARGE",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request headers are too large.",
        )
    }

    /// Every connection that the server may have is at work.
    pub(super) fn overloaded() -> Self {
        Self::refused(
            "UNAVAILABLE",
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many connections.",
        )
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    pub(super) fn body_too_large() -> Self {
        Self::refused(
            "PAYLOAD_TOO_LARGE",
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request body is too large.",
        )
    }

    pub(super) fn body_too_slow() -> Self {
        Self::refused(
            "REQUEST_TIMEOUT",
            StatusCode::REQUEST_TIMEOUT,
            "Request body did not arrive in time.",
        )
    }

    pub(super) fn not_json() -> Self {
        Self::refused(
            "UNSUPPORTED_MEDIA_TYPE",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type must include application/json.",
        )
    }

    pub(super) fn invalid(issues: Vec<Issue>) -> Self {
        let mut failure = Self::refused(
            "VALIDATION_FAILED",
            StatusCode::UNPROCESSABLE_ENTITY,
            "Request validation failed.",
        );
        if let Self::Refused(refusal) = &mut failure {
            refusal.issues = issues;
        }
        failure
    }

    /// One thing is wrong, and where.
    pub(super) fn invalid_at(path: &str, message: &str) -> Self {
        Self::invalid(vec![Issue {
            message: message.to_owned(),
            path: path.to_owned(),
        }])
    }

    /// The body has a field that is not known there.
    pub(super) fn unknown_field(key: &str) -> Self {
        let pointer = format!("/{}", schema::escaped(key));
        Self::invalid_at(&shortened(&pointer), "is not known here")
    }

    /// A key of the body is there twice, at this pointer.
    pub(super) fn twice(pointer: &str) -> Self {
        let pointer = shortened(pointer);
        let key = pointer.rsplit('/').next().unwrap_or_default();
        let key = schema::unescaped(key);
        Self::invalid_at(
            &pointer,
            &format!("Request body must not have the key '{key}' twice."),
        )
    }

    /// What a schema says about a body.
    pub(super) fn unfit(issues: Vec<schema::Issue>) -> Self {
        let public = |issue: schema::Issue| Issue {
            message: issue.message,
            path: issue_path(issue.instance_path),
        };
        Self::invalid(issues.into_iter().map(public).collect())
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.header = Some((name, value));
        }
        self
    }

    /// The response in the native form.
    pub(crate) fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => refusal.into_response(),
            Self::Thrown(error) => {
                log(&error);
                thrown(&error)
            }
            Self::Answered(response) | Self::AnsweredByMount(response) => *response,
        }
    }

    /// The response as the mount says it, where it renders errors.
    pub(super) async fn into_response_of(
        self,
        mount: &Mounted,
        request: Option<RouteRequest>,
    ) -> Response {
        if !mount.renders_errors() {
            return self.into_response();
        }
        let (error, kept) = match self {
            Self::Refused(refusal) => {
                let header = refusal.header.clone().into_iter().collect();
                (refusal.into_route_error(), header)
            }
            Self::Thrown(error) => {
                log(&error);
                (
                    route_error(&error),
                    retry_after(&error).into_iter().collect(),
                )
            }
            Self::AnsweredByMount(response) => return *response,
            Self::Answered(response) if !refuses(&response) => return *response,
            Self::Answered(response) => plugin_response::as_route_error(*response).await,
        };
        let error = match request {
            Some(request) => error.with_request(request),
            None => error,
        };
        let rendered = match mount.capability.render_error(&error) {
            Ok(response) => plugin_response::into_response(response),
            Err(failed) => Err(failed),
        };
        match rendered {
            Ok(mut response) => {
                if is_failure(response.status().as_u16()) && !is_failure(error.status) {
                    // The client does not read what is behind it.
                    let (instance, code) = (&mount.instance, &*error.code);
                    tracing::warn!(%instance, code, error = &*error.message, "the request failed");
                }
                for (name, value) in kept {
                    response.headers_mut().entry(name).or_insert(value);
                }
                response
            }
            Err(failed) => {
                tracing::error!(instance = %mount.instance, error = %failed, "cannot render an error");
                masked()
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Thrown(error)
    }
}

// === impl Refusal ===

impl Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "code": self.code,
            "message": self.message,
            "status": self.status.as_u16(),
        });
        if !self.issues.is_empty() {
            body["issues"] = json!(self.issues);
        }
        let mut response = json_response(self.status, &body);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn into_route_error(self) -> RouteError {
        let mut error = Error::new(self.code, self.message);
        for issue in self.issues {
            error = error.with_issue(issue.path, issue.message);
        }
        RouteError::new(self.status.as_u16(), &error)
    }
}

/// A JSON response.
pub(super) fn json_response(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        }
        Err(error) => {
            tracing::error!(%error, "cannot encode a response");
            masked()
        }
    }
}

/// The response in place of an internal failure.
pub(super) fn masked() -> Response {
    thrown(&Error::new(Error::INTERNAL, ""))
}

fn thrown(error: &Error) -> Response {
    let error = &error.for_clients();
    let (code, status) = (error.public_code(), error.status());
    let mut body = Map::new();
    body.insert("code".into(), code.into());
    body.insert("message".into(), error.message().into());
    body.insert("status".into(), status.into());
    body.insert("retryable".into(), error.is_retryable().into());
    if code == "VALIDATION_FAILED" || !error.issues().is_empty() {
        body.insert("issues".into(), json!(public_issues(error)));
    }
    if let Some(context) = error.context() {
        body.insert("context".into(), Value::Object(context.clone()));
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, &body);
    if let Some((name, value)) = retry_after(error) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// When to come back, where the error tells.
fn retry_after(error: &Error) -> Option<(HeaderName, HeaderValue)> {
    let shown = error.for_clients();
    let seconds = shown.context()?.get(problem::RETRY_AFTER)?;
    Some((RETRY_AFTER, HeaderValue::from(seconds.as_u64()?)))
}

/// What a mount may know of a thrown error.
fn route_error(error: &Error) -> RouteError {
    let error = error.for_clients();
    RouteError::new(error.status(), &error)
}

fn public_issues(error: &Error) -> Vec<Issue> {
    if error.issues().is_empty() {
        return vec![Issue {
            message: error.message().to_owned(),
            path: issue_path(String::new()),
        }];
    }
    let public = |issue: &Issue| Issue {
        message: issue.message.clone(),
        path: issue_path(issue.path.clone()),
    };
    error.issues().iter().map(public).collect()
}

/// The whole value is `/` to clients.
fn issue_path(pointer: String) -> String {
    if pointer.is_empty() {
        "/".to_owned()
    } else {
        pointer
    }
}

/// The end of a pointer that would fill an answer with what the client sent.
fn shortened(pointer: &str) -> Cow<'_, str> {
    const MOST: usize = 200;
    if pointer.len() <= MOST {
        return Cow::Borrowed(pointer);
    }
    let mut start = pointer.len() - MOST;
    while !pointer.is_char_boundary(start) {
        start += 1;
    }
    Cow::Owned(format!("…{}", &pointer[start..]))
}

/// Failures of the server are logged here, once; what a client did wrong is its own affair.
fn log(error: &Error) {
    let code = error.public_code();
    if code == Error::INTERNAL {
        tracing::error!(%error, "the request failed");
    } else if is_failure(error.status()) {
        tracing::warn!(code, error = error.message(), "the request failed");
    } else {
        tracing::debug!(code, error = error.message(), "the request failed");
    }
}

/// Whether something does not work. That there is no room is said elsewhere, and would be said often.
fn is_failure(status: u16) -> bool {
    status >= 500 && status != 503
}

fn refuses(response: &Response) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn refusals_have_a_code_a_message_and_a_status() {
        let (status, body) = text(Failure::no_route().into_response()).await;
        assert_eq!(status, 404);
        assert_eq!(
            body,
            r#"{"code":"NOT_FOUND","message":"Route not found.","status":404}"#
        );
        let refused = Failure::invalid_at("/id", "Conversation id is required.");
        assert_eq!(
            text(refused.into_response()).await.1,
            r#"{"code":"VALIDATION_FAILED","message":"Request validation failed.","status":422,"issues":[{"message":"Conversation id is required.","path":"/id"}]}"#
        );
    }

    #[tokio::test]
    async fn a_missing_token_names_the_scheme() {
        let response = Failure::unauthorized().into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(
            text(response).await,
            (
                401,
                r#"{"code":"UNAUTHORIZED","message":"Missing or invalid bearer token.","status":401}"#
                    .to_owned()
            )
        );
    }

    #[tokio::test]
    async fn a_wrong_method_names_the_right_ones() {
        let allow = HeaderValue::from_static("GET, POST");
        let response = Failure::method_not_allowed(allow).into_response();
        assert_eq!(response.headers()[ALLOW], "GET, POST");
        assert_eq!(
            text(response).await,
            (
                405,
                r#"{"code":"METHOD_NOT_ALLOWED","message":"Request method is not allowed for this route.","status":405}"#
                    .to_owned()
            )
        );
    }

    #[tokio::test]
    async fn thrown_errors_show_their_context() {
        let error =
            Error::not_found("Agent 'ghost' does not exist.").with_context("agentName", "ghost");
        assert_eq!(
            text(Failure::from(error).into_response()).await,
            (
                404,
                r#"{"code":"NOT_FOUND","message":"Agent 'ghost' does not exist.","status":404,"retryable":false,"context":{"agentName":"ghost"}}"#
                    .to_owned()
            )
        );
        let error = Error::upstream("Fake upstream failed.");
        assert_eq!(
            text(Failure::from(error).into_response()).await,
            (
                502,
                r#"{"code":"UPSTREAM_FAILED","message":"Fake upstream failed.","status":502,"retryable":true}"#
                    .to_owned()
            )
        );
    }

    #[tokio::test]
    async fn issues_are_shown_and_validation_always_has_some() {
        let error = Error::invalid("Bad.");
        assert!(
            text(Failure::from(error).into_response())
                .await
                .1
                .ends_with(r#""retryable":false,"issues":[{"message":"Bad.","path":"/"}]}"#)
        );
        let error = Error::invalid("Bad.").with_issue("", "must be object");
        assert!(
            text(Failure::from(error).into_response())
                .await
                .1
                .ends_with(r#""issues":[{"message":"must be object","path":"/"}]}"#)
        );
        let error = Error::bad_request("Bad.").with_issue("/x", "is odd");
        assert!(
            text(Failure::from(error).into_response())
                .await
                .1
                .ends_with(r#""issues":[{"message":"is odd","path":"/x"}]}"#)
        );
        let error = Error::internal("Bad.").with_issue("/x", "is odd");
        assert!(
            !text(Failure::from(error).into_response())
                .await
                .1
                .contains("issues")
        );
    }

    #[tokio::test]
    async fn internal_failures_and_panics_are_masked() {
        let masked = (
            500,
            r#"{"code":"INTERNAL","message":"Server request failed.","status":500,"retryable":false}"#
                .to_owned(),
        );
        for error in [
            Error::internal("/etc/passwd").with_context("k", 1),
            Error::new(Error::PANIC, "index out of bounds"),
            Error::new("INTERNAL", "secret").with_retryable(true),
        ] {
            assert_eq!(text(Failure::from(error).into_response()).await, masked);
        }
    }

    #[tokio::test]
    async fn a_code_of_ones_own_is_500_and_not_masked() {
        let error = Error::new("TOOL_EXECUTION_FAILED", "tool exploded");
        assert_eq!(
            text(Failure::from(error).into_response()).await,
            (
                500,
                r#"{"code":"TOOL_EXECUTION_FAILED","message":"tool exploded","status":500,"retryable":false}"#
                    .to_owned()
            )
        );
    }
}

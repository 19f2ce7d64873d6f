//! Which endpoint a fake request goes to, and how its errors are answered.

use std::sync::Arc;

use serde_json::json;

use super::FakeRequest;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::mount::{MethodMismatch, Mount, Prefix, Slashes};
use crate::response::Response;
use crate::route_error::RouteError;

/// An endpoint with the path parameters of a request.
pub(super) struct Route<'a> {
    pub(super) mount: &'a Mount,
    pub(super) endpoint: &'a Endpoint,
    pub(super) params: Vec<(String, String)>,
    /// How many segments are parameters: fewer fit better.
    looseness: usize,
}

/// Finds the endpoint, or says how the request is refused.
pub(super) fn find<'a>(
    mounts: &'a [Arc<Mount>],
    request: &FakeRequest,
) -> Result<Route<'a>, Box<Response>> {
    let mut best: Option<Route<'a>> = None;
    let mut wrong_method = None;
    for mount in mounts {
        let (Prefix::Base(prefix) | Prefix::Absolute(prefix)) = &mount.info.prefix;
        for endpoint in &mount.endpoints {
            let pattern = format!("{prefix}/{}", endpoint.info.path);
            let Some(params) = params_of(&pattern, request.path_text(), mount.info.slashes) else {
                continue;
            };
            let methods = &endpoint.info.methods;
            if !methods.iter().any(|method| method == request.method_text()) {
                wrong_method = Some(mount);
                continue;
            }
            let looseness = params.len();
            if best.as_ref().is_none_or(|best| looseness < best.looseness) {
                best = Some(Route {
                    mount,
                    endpoint,
                    params,
                    looseness,
                });
            }
        }
    }
    best.ok_or_else(|| {
        let refusal = match wrong_method {
            Some(mount) if mount.info.method_mismatch == MethodMismatch::MethodNotAllowed => {
                let error = Error::new("METHOD_NOT_ALLOWED", "the path does not have this method");
                answer(mount, &error)
            }
            Some(mount) => answer(mount, &Error::not_found("there is no such path")),
            None => plain(&Error::not_found("no mount of the plugin has such a path")),
        };
        Box::new(refusal)
    })
}

/// An error as a client of this mount reads it.
pub(super) fn answer(mount: &Mount, error: &Error) -> Response {
    let shown = error.for_clients();
    match &mount.render_error {
        Some(render) => render(&RouteError::new(shown.status(), &shown)),
        None => plain(&shown),
    }
}

fn plain(error: &Error) -> Response {
    let shown = RouteError::new(error.status(), error);
    let mut body = json!({
        "code": shown.code,
        "message": shown.message,
        "status": shown.status,
        "retryable": error.is_retryable(),
    });
    if shown.code == "VALIDATION_FAILED" || !shown.issues.is_empty() {
        body["issues"] = json!(shown.issues);
    }
    if let Some(context) = shown.context {
        body["context"] = context;
    }
    Response::new(shown.status)
        .with_header("content-type", "application/json")
        .with_body(body.to_string())
}

fn params_of(pattern: &str, path: &str, slashes: Slashes) -> Option<Vec<(String, String)>> {
    let segments = |path: &str| -> Vec<String> {
        let path = path.strip_prefix('/').unwrap_or(path);
        path.split('/')
            .filter(|segment| slashes == Slashes::Strict || !segment.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let wanted: Vec<String> = pattern
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect();
    let sent = segments(path);
    if wanted.len() != sent.len() {
        return None;
    }
    let mut params = Vec::new();
    for (wanted, sent) in wanted.iter().zip(sent) {
        let name = wanted
            .strip_prefix(':')
            .or_else(|| wanted.strip_prefix('{')?.strip_suffix('}'));
        match name {
            Some(name) if !sent.is_empty() => params.push((name.to_owned(), sent)),
            None if *wanted == sent => {}
            _ => return None,
        }
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_is_answered_as_the_server_does() {
        let error = Error::upstream("the archive is down").with_context("archive", "a1");
        let response = answer(&Mount::at_base(), &error);
        assert_eq!(response.status(), 502);
        let body: serde_json::Value = response.into_body().json().await.unwrap();
        let expected = json!({
            "code": "UPSTREAM_FAILED", "message": "the archive is down", "status": 502,
            "retryable": true, "context": { "archive": "a1" },
        });
        assert_eq!(body, expected);
        let blocked = Error::new("GUARDRAIL_INPUT_BLOCKED", "not that");
        assert_eq!(answer(&Mount::at_base(), &blocked).status(), 422);
        let lent = Error::new("BOOK_LENT", "lent").with_status(409);
        let response = answer(&Mount::at_base(), &lent);
        assert_eq!(response.status(), 409);
        let body: serde_json::Value = response.into_body().json().await.unwrap();
        assert_eq!(
            (&body["code"], &body["status"]),
            (&json!("BOOK_LENT"), &json!(409))
        );
        let hidden = answer(&Mount::at_base(), &Error::internal("hunter2"));
        assert_eq!(hidden.status(), 500);
        assert!(!hidden.into_body().text().await.unwrap().contains("hunter2"));
    }

    #[test]
    fn patterns_match_segment_by_segment() {
        let params = |pattern, path| params_of(pattern, path, Slashes::Lenient);
        assert_eq!(params("/a/b", "/a/b"), Some(vec![]));
        assert_eq!(params("/a/b", "/a//b/"), Some(vec![]));
        let id = Some(vec![("id".to_owned(), "7".to_owned())]);
        assert_eq!(params("/a/:id", "/a/7"), id);
        assert_eq!(params("/a/{id}", "/a/7"), id);
        assert_eq!(params("/a/:id", "/a"), None);
        assert_eq!(params("/a/:id", "/a/7/8"), None);
        assert_eq!(params_of("/a/b", "/a/b/", Slashes::Strict), None);
    }
}

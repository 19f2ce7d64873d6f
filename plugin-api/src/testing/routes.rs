//! Which endpoint a fake request goes to, and how its errors are answered.

use std::sync::Arc;

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
            None => plain(&RouteError::new(
                404,
                &Error::not_found("no mount of the plugin has such a path"),
            )),
        };
        Box::new(refusal)
    })
}

/// An error as a client of this mount reads it.
pub(super) fn answer(mount: &Mount, error: &Error) -> Response {
    let status = status_of(error.code());
    let route_error = if error.code().is_some_and(|code| code != Error::PANIC) {
        RouteError::new(status, error)
    } else {
        // What has no code is nobody's business outside.
        let masked = Error::new("INTERNAL", "internal server error");
        RouteError::new(500, &masked)
    };
    match &mount.render_error {
        Some(render) => render(&route_error),
        None => plain(&route_error),
    }
}

fn plain(error: &RouteError) -> Response {
    let body = serde_json::json!({
        "code": error.code,
        "message": error.message,
        "status": error.status,
    });
    Response::new(error.status)
        .with_header("content-type", "application/json")
        .with_body(body.to_string())
}

fn status_of(code: Option<&str>) -> u16 {
    match code {
        Some("BAD_REQUEST") => 400,
        Some("UNAUTHORIZED") => 401,
        Some("FORBIDDEN") => 403,
        Some("NOT_FOUND") => 404,
        Some("METHOD_NOT_ALLOWED") => 405,
        Some("CONFLICT") => 409,
        Some("PAYLOAD_TOO_LARGE") => 413,
        Some("UNSUPPORTED_MEDIA_TYPE") => 415,
        Some("VALIDATION_FAILED") => 422,
        Some("RATE_LIMITED") => 429,
        Some("ABORTED") => 499,
        Some("UPSTREAM_FAILED") => 502,
        Some("UNAVAILABLE") => 503,
        Some("TIMEOUT") => 504,
        _ => 500,
    }
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

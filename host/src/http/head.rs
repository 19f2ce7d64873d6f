//! The head of a request: how large it may be, its host and its id.

use std::sync::Arc;

use axum::extract::Request;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::error::Failure;

/// What the head of a request may take, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// All headers together.
    pub(crate) headers: usize,
    /// The path with its query.
    pub(crate) uri: usize,
}

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 64;
/// hyper has no more for HTTP/1, and no limit for HTTP/2.
const MOST_HEADERS: usize = 100;

/// An id that the client chose, if it is one that logs and headers can hold.
pub(super) fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
    ((1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_plain)).then(|| id.into())
}

/// Whether the head is one that is looked at any further.
pub(super) fn check(request: &Request, limits: HeadLimits) -> Result<(), Failure> {
    let headers = request.headers();
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if request
        .uri()
        .path_and_query()
        .map_or(0, |it| it.as_str().len())
        > limits.uri
    {
        return Err(Failure::uri_too_long());
    }
    if headers.len() > MOST_HEADERS || headers.iter().map(size).sum::<usize>() > limits.headers {
        return Err(Failure::head_too_large());
    }
    if !has_valid_host(request) {
        return Err(Failure::bad_request(
            "Request must have one valid Host header.",
        ));
    }
    Ok(())
}

/// Proxies in front may have routed by it, so there is one, and no other in the request line or
/// in `:authority`. HTTP/1.0 may do without.
fn has_valid_host(request: &Request) -> bool {
    let target = request.uri().authority();
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next(), target) {
        (None, _, None) => request.version() == Version::HTTP_10,
        (None, _, Some(target)) => request.version() != Version::HTTP_11 && is_host(target),
        (Some(host), None, target) => Authority::try_from(host.as_bytes()).is_ok_and(|host| {
            // Authorities are equal in any case of their letters.
            is_host(&host) && target.is_none_or(|target| *target == host)
        }),
        (Some(_), Some(_), _) => false,
    }
}

fn is_host(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asked(version: Version, uri: &str, hosts: &[&'static str]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.version_mut() = version;
        *request.uri_mut() = uri.parse().unwrap();
        for host in hosts {
            let host = HeaderValue::from_static(host);
            request.headers_mut().append(HOST, host);
        }
        request
    }

    #[test]
    fn there_is_one_valid_host() {
        let cases: [(Version, &str, &[&'static str], bool); 16] = [
            (Version::HTTP_11, "/", &["localhost:3141"], true),
            (Version::HTTP_11, "/", &["[::1]:80"], true),
            (Version::HTTP_11, "/", &[], false),
            (Version::HTTP_11, "/", &["a", "a"], false),
            (Version::HTTP_11, "/", &["a b"], false),
            (Version::HTTP_11, "/", &["user@a"], false),
            (Version::HTTP_11, "/", &["a/b"], false),
            (Version::HTTP_11, "http://a/", &["A"], true),
            (Version::HTTP_11, "http://a/", &["b"], false),
            (Version::HTTP_11, "http://a/", &[], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_2, "/", &[], false),
            (Version::HTTP_2, "http://a/", &[], true),
            (Version::HTTP_2, "http://a/", &["a"], true),
            (Version::HTTP_2, "http://a/", &["b"], false),
            (Version::HTTP_2, "http://u@a/", &[], false),
        ];
        for (version, uri, hosts, expected) in cases {
            let request = asked(version, uri, hosts);
            let valid = has_valid_host(&request);
            assert_eq!(valid, expected, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn a_head_beyond_the_limits_is_refused() {
        let limits = HeadLimits {
            headers: 100,
            uri: 10,
        };
        let status = |request: &Request| match check(request, limits) {
            Ok(()) => 200,
            Err(failure) => failure.into_response().status().as_u16(),
        };
        let mut request = asked(Version::HTTP_11, "/123?56789", &["a"]);
        assert_eq!(status(&request), 200);
        let filler = HeaderName::from_static("x");
        let value = HeaderValue::from_str(&"x".repeat(94)).unwrap();
        request.headers_mut().insert(&filler, value);
        assert_eq!(status(&request), 200);
        let value = HeaderValue::from_str(&"x".repeat(95)).unwrap();
        request.headers_mut().insert(&filler, value);
        assert_eq!(status(&request), 431);
        let long = asked(Version::HTTP_11, "/123?567890", &["a"]);
        assert_eq!(status(&long), 414);
        let mut many = asked(Version::HTTP_11, "/", &["a"]);
        for _ in 0..MOST_HEADERS {
            let empty = HeaderValue::from_static("");
            many.headers_mut()
                .append(HeaderName::from_static("x"), empty);
        }
        assert_eq!(status(&many), 431);
    }

    #[test]
    fn a_plain_request_id_is_kept() {
        let long = "x".repeat(65);
        for (id, kept) in [
            ("a.B-c_9", true),
            ("", false),
            ("a b", false),
            ("a/b", false),
            (&long[..64], true),
            (&long[..], false),
        ] {
            let value = HeaderValue::from_str(id).unwrap();
            let headers = HeaderMap::from_iter([(REQUEST_ID, value)]);
            assert_eq!(request_id(&headers).is_some(), kept, "{id:?}");
        }
    }
}

//! Cross-origin requests: preflights are answered, and answers say which pages may read them.
//!
//! Only a real preflight is: `OPTIONS` with `origin` and `access-control-request-method`, of an
//! origin that may. Whatever else has this method goes where it always goes.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::config;

/// Which pages of other origins may call the server.
#[derive(Debug)]
pub(super) struct Cors {
    allowed: Allowed,
    methods: HeaderValue,
    headers: HeaderValue,
    credentials: bool,
    max_age: HeaderValue,
}

#[derive(Debug)]
enum Allowed {
    All,
    These(Vec<String>),
}

/// What clients of ours read of an answer.
const EXPOSED: &str = "location, x-run-id, x-stream-id, mortise-run-id, x-request-id, x-trace-id, \
                       retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset";

// === impl Cors ===

impl Cors {
    /// `None` where no page of another origin may call the server.
    pub(super) fn new(section: &config::Cors) -> Option<Self> {
        let list = |names: &[String]| {
            HeaderValue::from_str(&names.join(", ")).expect("the names were checked to be tokens")
        };
        let allowed = if section.is_open() {
            Allowed::All
        } else if section.origins.is_empty() {
            return None;
        } else {
            let origins = section.origins.iter();
            Allowed::These(origins.map(|it| it.as_str().to_owned()).collect())
        };
        Some(Self {
            allowed,
            methods: list(&section.methods),
            headers: list(&section.headers),
            credentials: section.credentials,
            max_age: HeaderValue::from(section.max_age.0.as_secs()),
        })
    }

    /// The answer to a preflight.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        self.allowed(headers.get(ORIGIN)?)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        answer.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        Some(response)
    }

    /// Lets the page that asked read the answer, if it may. A plugin that has said so itself is
    /// not overruled.
    pub(super) fn mark(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        if matches!(self.allowed, Allowed::These(_)) {
            // Also for a page that may not: a cache must not show its answer to one that may.
            answer.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) else {
            return;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        answer.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    /// Whether pages of this origin may call the server.
    pub(super) fn may_call(&self, origin: &HeaderValue) -> bool {
        self.allowed(origin).is_some()
    }

    /// What a page of this origin is told, if it may call.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.allowed {
            Allowed::All => Some(HeaderValue::from_static("*")),
            Allowed::These(origins) => {
                let is_one = origins.iter().any(|it| it.as_bytes() == origin.as_bytes());
                is_one.then(|| origin.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cors(section: Value) -> Option<Cors> {
        Cors::new(&serde_json::from_value(section).unwrap())
    }

    fn asked(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &'static str)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        headers.iter().map(pair).collect()
    }

    #[test]
    fn without_origins_there_is_none() {
        assert!(cors(json!({})).is_none());
    }

    #[test]
    fn only_a_real_preflight_of_an_origin_that_may_is_answered() {
        let cors = cors(json!({ "origins": ["https://a.example"] })).unwrap();
        let method = ("access-control-request-method", "POST");
        let cases = [
            (
                Method::OPTIONS,
                vec![("origin", "https://a.example"), method],
                true,
            ),
            (
                Method::POST,
                vec![("origin", "https://a.example"), method],
                false,
            ),
            (
                Method::OPTIONS,
                vec![("origin", "https://a.example")],
                false,
            ),
            (Method::OPTIONS, vec![method], false),
            (
                Method::OPTIONS,
                vec![("origin", "https://b.example"), method],
                false,
            ),
            (
                Method::OPTIONS,
                vec![("origin", "https://a.example.b.example"), method],
                false,
            ),
            (Method::OPTIONS, vec![("origin", "null"), method], false),
        ];
        for (method, headers, expected) in cases {
            let answered = cors.preflight(&method, &asked(&headers)).is_some();
            assert_eq!(answered, expected, "{method} {headers:?}");
        }
    }

    #[test]
    fn an_answer_names_the_page_that_may_read_it_and_a_plugin_is_not_overruled() {
        let named = cors(json!({ "origins": ["https://a.example"], "credentials": true })).unwrap();
        let open = cors(json!({ "origins": ["*"] })).unwrap();
        let page = HeaderValue::from_static("https://a.example");
        let other = HeaderValue::from_static("https://b.example");
        for (cors, origin, told, varies) in [
            (&named, Some(&page), Some("https://a.example"), true),
            (&named, Some(&other), None, true),
            (&named, None, None, true),
            (&open, Some(&other), Some("*"), false),
            (&open, None, None, false),
        ] {
            let mut answer = HeaderMap::new();
            cors.mark(origin, &mut answer);
            let said = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(said.map(|it| it.to_str().unwrap()), told);
            assert_eq!(answer.contains_key(VARY), varies);
            assert_eq!(
                answer.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS),
                told.is_some() && cors.credentials
            );
        }
        let mut answer = asked(&[("access-control-allow-origin", "https://own.example")]);
        named.mark(Some(&page), &mut answer);
        assert_eq!(answer.len(), 1);
    }
}

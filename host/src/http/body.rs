//! Bodies of requests: buffered and parsed once for native routes, streamed to plugins.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use mortise_plugin_api::Error;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::error::Failure;
use super::json::{self, Unreadable};
use crate::schema::Schema;

/// What a body may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// How many bytes.
    pub(crate) size: usize,
    /// How long the server waits for it; more, as it arrives.
    pub(crate) timeout: Duration,
}

/// How much longer a client may keep the server waiting for its body. The time that a plugin takes
/// before it reads on does not count.
struct Patience(Duration);

/// So many bytes a second, and a body has all the time that it needs.
const SLOWEST: u64 = 16 * 1024;

/// The body of a native JSON route.
#[derive(Debug)]
pub(super) enum JsonBody {
    Empty,
    /// No JSON, or no object.
    NotAnObject,
    /// A key is there twice; the pointer to it.
    Ambiguous(String),
    Object(Map<String, Value>),
}

// === impl JsonBody ===

impl JsonBody {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        match json::parse(bytes) {
            Ok(Value::Object(object)) => Self::Object(object),
            Err(Unreadable::Twice(pointer)) => Self::Ambiguous(pointer),
            _ => Self::NotAnObject,
        }
    }

    /// A member that is text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self {
            Self::Object(object) => object.get(key)?.as_str(),
            _ => None,
        }
    }

    /// The object, if the content type and the schema allow it.
    pub(super) fn checked(
        self,
        headers: &HeaderMap,
        schema: &Schema,
    ) -> Result<Map<String, Value>, Failure> {
        if !mentions(headers, &CONTENT_TYPE, "application/json") {
            return Err(Failure::not_json());
        }
        let body = match self {
            Self::Object(object) => Value::Object(object),
            Self::Empty => {
                return Err(Failure::invalid_at("/", "Request body must be valid JSON."));
            }
            Self::NotAnObject => {
                return Err(Failure::invalid_at(
                    "/",
                    "Request body must be a JSON object.",
                ));
            }
            Self::Ambiguous(pointer) => return Err(Failure::twice(&pointer)),
        };
        schema.validate(&body).map_err(Failure::unfit)?;
        match body {
            Value::Object(object) => Ok(object),
            _ => Ok(Map::new()),
        }
    }
}

/// Whether one of the header's values has this text in it, in any case.
pub(super) fn mentions(headers: &HeaderMap, name: &http::HeaderName, text: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .windows(text.len())
            .any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    })
}

/// The whole body.
pub(super) async fn buffer(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Bytes, Failure> {
    refuse_announced(headers, limits.size)?;
    let mut body = Limited::new(body, limits.size);
    let mut patience = Patience(limits.timeout);
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    // One whose length is known has no end to wait for.
    while !body.is_end_stream() {
        let Some(next) = patience.wait_for(body.frame()).await else {
            return Err(Failure::body_too_slow());
        };
        let chunk = match next {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Failure::body_too_large());
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "cannot read the request body");
                return Err(Failure::bad_request("Request body could not be read."));
            }
        };
        patience.grow(chunk.len());
        // Most bodies are one chunk, which is not copied.
        if whole.is_empty() && parts.is_empty() {
            whole = chunk;
        } else {
            parts.extend_from_slice(&std::mem::take(&mut whole));
            parts.extend_from_slice(&chunk);
        }
    }
    Ok(if parts.is_empty() {
        whole
    } else {
        parts.freeze()
    })
}

/// The body as a plugin reads it, chunk by chunk.
pub(super) fn stream(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<mortise_plugin_api::Body, Failure> {
    refuse_announced(headers, limits.size)?;
    let chunks = Limited::new(body, limits.size).into_data_stream();
    let state = Some((chunks, Patience(limits.timeout)));
    let chunks = futures_util::stream::unfold(state, |state| async move {
        let (mut chunks, mut patience) = state?;
        match patience.wait_for(chunks.next()).await {
            Some(Some(Ok(chunk))) => {
                patience.grow(chunk.len());
                Some((Ok(chunk), Some((chunks, patience))))
            }
            Some(Some(Err(error))) => Some((Err(read_error(&*error)), None)),
            Some(None) => None,
            None => Some((Err(too_slow()), None)),
        }
    });
    Ok(mortise_plugin_api::Body::from_stream(chunks))
}

// === impl Patience ===

impl Patience {
    /// What comes next; `None` where it comes too late.
    async fn wait_for<T>(&mut self, next: impl Future<Output = T>) -> Option<T> {
        let started = Instant::now();
        let next = tokio::time::timeout(self.0, next).await.ok();
        self.0 = self.0.saturating_sub(started.elapsed());
        next
    }

    fn grow(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0 += Duration::from_micros(bytes.saturating_mul(1_000_000) / SLOWEST);
    }
}

fn too_slow() -> Error {
    Error::new("REQUEST_TIMEOUT", "Request body did not arrive in time.")
}

fn read_error(error: &(dyn std::error::Error + 'static)) -> Error {
    if error.is::<LengthLimitError>() {
        Error::new("PAYLOAD_TOO_LARGE", "Request body is too large.")
    } else {
        Error::bad_request("Request body could not be read.")
    }
}

/// A length that is too large is refused before a byte is read.
fn refuse_announced(headers: &HeaderMap, limit: usize) -> Result<(), Failure> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    match announced {
        Some(length) if usize::try_from(length).map_or(true, |length| length > limit) => {
            Err(Failure::body_too_large())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::schemas;
    use super::*;

    fn json_headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    async fn refusal(headers: &HeaderMap, body: &str) -> Option<String> {
        let body = JsonBody::parse(body.as_bytes());
        let failure = body.checked(headers, &schemas::RUN).err()?;
        let body = failure.into_response().into_body();
        let bytes = body.collect().await.unwrap().to_bytes();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn bodies_that_are_no_objects() {
        let headers = json_headers("application/json");
        let deep = "[".repeat(100_000);
        let cases = [
            ("", "Request body must be valid JSON."),
            (" ", "Request body must be a JSON object."),
            ("{nope", "Request body must be a JSON object."),
            ("[1]", "Request body must be a JSON object."),
            ("\"text\"", "Request body must be a JSON object."),
            ("null", "Request body must be a JSON object."),
            ("\u{feff}{}", "Request body must be a JSON object."),
            (
                "{\"input\":\"hi\"} x",
                "Request body must be a JSON object.",
            ),
            (deep.as_str(), "Request body must be a JSON object."),
        ];
        for (body, message) in cases {
            let expected = format!(
                r#"{{"code":"VALIDATION_FAILED","message":"Request validation failed.","status":422,"issues":[{{"message":"{message}","path":"/"}}]}}"#
            );
            assert_eq!(refusal(&headers, body).await, Some(expected));
        }
    }

    #[tokio::test]
    async fn a_key_that_is_there_twice_is_named() {
        let headers = json_headers("application/json");
        let long = "k".repeat(2000);
        let expected = |name: &str, path: &str| {
            format!(
                r#"{{"code":"VALIDATION_FAILED","message":"Request validation failed.","status":422,"issues":[{{"message":"Request body must not have the key '{name}' twice.","path":"{path}"}}]}}"#
            )
        };
        for (body, name, path) in [
            (r#"{"input":"a","input":"b"}"#, "input", "/input"),
            (
                r#"{"input":"a","context":{"x":[{"y/z":1,"y/z":1}]}}"#,
                "y/z",
                "/context/x/0/y~1z",
            ),
        ] {
            let refused = refusal(&headers, body).await;
            assert_eq!(refused, Some(expected(name, path)));
        }
        let refused = refusal(&headers, &format!(r#"{{"{long}":1,"{long}":1}}"#)).await;
        assert!(refused.unwrap().len() < 600, "an answer is no echo");
    }

    #[tokio::test]
    async fn the_content_type_comes_first_and_in_any_case() {
        let good = r#"{"input":"hi"}"#;
        for accepted in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "x application/json y",
        ] {
            assert_eq!(refusal(&json_headers(accepted), good).await, None);
        }
        let refused = r#"{"code":"UNSUPPORTED_MEDIA_TYPE","message":"Content-Type must include application/json.","status":415}"#;
        for headers in [
            HeaderMap::new(),
            json_headers("text/plain"),
            json_headers("application/xml"),
        ] {
            assert_eq!(refusal(&headers, "{nope").await.as_deref(), Some(refused));
        }
    }

    #[tokio::test]
    async fn a_missing_field_is_at_the_root() {
        assert_eq!(
            refusal(&json_headers("application/json"), "{}")
                .await
                .as_deref(),
            Some(
                r#"{"code":"VALIDATION_FAILED","message":"Request validation failed.","status":422,"issues":[{"message":"must have required property 'input'","path":"/"}]}"#
            )
        );
    }

    #[tokio::test]
    async fn the_limit_is_exact() {
        let headers = HeaderMap::new();
        let read = buffer(&headers, Body::from("12345"), LIMITS).await;
        assert_eq!(&read.unwrap()[..], b"12345");
        let refused = buffer(&headers, Body::from("123456"), LIMITS).await;
        let response = refused.unwrap_err().into_response();
        assert_eq!(response.status(), 413);
    }

    #[tokio::test]
    async fn a_length_that_lies_is_found_out_by_plugins_too() {
        let announced = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("99"))]);
        assert!(stream(&announced, Body::empty(), LIMITS).is_err());
        let body = stream(&HeaderMap::new(), Body::from("123456"), LIMITS).unwrap();
        let error = body.bytes(100).await.unwrap_err();
        assert_eq!(error.code(), Some("PAYLOAD_TOO_LARGE"));
    }

    const LIMITS: BodyLimits = BodyLimits {
        size: 5,
        timeout: Duration::from_secs(10),
    };

    /// A body that arrives in chunks of this size, one a second.
    fn one_a_second(size: usize, count: usize) -> Body {
        Body::from_stream(futures_util::stream::unfold(
            count,
            move |left| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let chunk = Bytes::from(vec![b'x'; size]);
                (left > 0).then(|| (Ok::<_, std::io::Error>(chunk), left - 1))
            },
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_slowly_is_refused_and_a_large_one_is_waited_for() {
        let limits = BodyLimits {
            size: 1 << 20,
            ..LIMITS
        };
        let read = buffer(&HeaderMap::new(), one_a_second(16 * 1024, 60), limits).await;
        assert_eq!(read.unwrap().len(), 60 * 16 * 1024);

        let started = Instant::now();
        let refused = buffer(&HeaderMap::new(), one_a_second(1, 60), limits).await;
        assert_eq!(refused.unwrap_err().into_response().status(), 408);
        assert_eq!(started.elapsed().as_secs(), 10);

        let body = stream(&HeaderMap::new(), one_a_second(1, 60), limits).unwrap();
        let error = body.bytes(100).await.unwrap_err();
        assert_eq!(error.code(), Some("REQUEST_TIMEOUT"));
    }
}

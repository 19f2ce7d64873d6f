//! Responses of plugins, which are not to be trusted: what would break the connection is refused.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use mortise_plugin_api::{Error, Response as PluginResponse, RouteError};
use serde_json::Value;

/// How much of a guard's answer is read to have it rendered by a mount, and for how long.
const READ: usize = 64 * 1024;
const READING: Duration = Duration::from_secs(1);

/// The response, if its status and headers are valid.
pub(super) fn into_response(answer: PluginResponse) -> Result<Response, Error> {
    let status = checked_status(answer.status())?;
    let headers = checked_headers(answer.headers())?;
    let mut response = Response::new(into_body(answer.into_body()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The status; an interim one would break the connection.
pub(super) fn checked_status(status: u16) -> Result<StatusCode, Error> {
    match StatusCode::from_u16(status) {
        Ok(status) if (200..600).contains(&status.as_u16()) => Ok(status),
        _ => Err(Error::internal(format!(
            "the plugin answered with the status {status}"
        ))),
    }
}

/// The headers without those that belong to the connection.
pub(super) fn checked_headers<'h>(
    headers: impl IntoIterator<Item = &'h (String, impl AsRef<[u8]> + 'h)>,
) -> Result<HeaderMap, Error> {
    let mut checked = HeaderMap::new();
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_ref()),
        ) else {
            return Err(Error::internal(format!(
                "the plugin answered with an invalid header {name:?}"
            )));
        };
        if belongs_to_connection(&name) {
            continue;
        }
        checked
            .try_append(name, value)
            .map_err(|_| Error::internal("the plugin answered with too many headers"))?;
    }
    Ok(checked)
}

fn belongs_to_connection(name: &HeaderName) -> bool {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    [
        CONNECTION,
        CONTENT_LENGTH,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

/// A body that is ready is sent whole, with its length; another one chunk by chunk.
fn into_body(mut body: mortise_plugin_api::Body) -> Body {
    let first = match body.next().now_or_never() {
        None => return streamed(None, body),
        Some(None) => return Body::empty(),
        Some(Some(first)) => first,
    };
    match (first, body.next().now_or_never()) {
        (Ok(only), Some(None)) => Body::from(only),
        (first, Some(Some(second))) => streamed(Some(vec![second, first]), body),
        (first, _) => streamed(Some(vec![first]), body),
    }
}

/// Chunks that were read already, last first, and the rest of the body.
fn streamed(read: Option<Vec<Result<Bytes, Error>>>, body: mortise_plugin_api::Body) -> Body {
    let state = Some((read.unwrap_or_default(), body));
    let chunks = futures_util::stream::unfold(state, |state| async move {
        let (mut read, mut body) = state?;
        let chunk = match read.pop() {
            Some(chunk) => chunk,
            None => body.next().await?,
        };
        match chunk {
            Ok(chunk) => Some((Ok(chunk), Some((read, body)))),
            // Who kept the body has logged why.
            Err(_) => Some((Err(BodyFailed), None)),
        }
    });
    Body::from_stream(chunks)
}

#[derive(Debug, thiserror::Error)]
#[error("the body of the response failed")]
struct BodyFailed;

/// A guard's refusal, in the form in which a mount renders it, and the headers to keep.
pub(super) async fn as_route_error(
    response: Response,
) -> (RouteError, Vec<(HeaderName, HeaderValue)>) {
    let (parts, body) = response.into_parts();
    let read = Limited::new(body, READ).collect();
    let said = match tokio::time::timeout(READING, read).await {
        Ok(Ok(read)) => serde_json::from_slice(&read.to_bytes()).unwrap_or(Value::Null),
        Ok(Err(_)) | Err(_) => Value::Null,
    };
    let message = said["message"]
        .as_str()
        .or_else(|| said["error"].as_str())
        .or_else(|| parts.status.canonical_reason())
        .unwrap_or("Request refused.");
    let error = Error::new(code_of(parts.status), message);
    let kept = parts
        .headers
        .iter()
        .filter(|(name, _)| !describes_body(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (RouteError::new(parts.status.as_u16(), &error), kept)
}

/// Headers that say what the body is; they go with it.
fn describes_body(name: &HeaderName) -> bool {
    *name == CONTENT_TYPE || *name == CONTENT_LENGTH
}

fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        409 => "CONFLICT",
        413 => "PAYLOAD_TOO_LARGE",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        422 => "VALIDATION_FAILED",
        429 => "RATE_LIMITED",
        502 => "UPSTREAM_FAILED",
        503 => "UNAVAILABLE",
        504 => "TIMEOUT",
        500..=599 => "INTERNAL",
        _ => "BAD_REQUEST",
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[test]
    fn statuses_that_break_connections_are_refused() {
        for status in [0, 100, 101, 199, 600, 999, 1000] {
            assert!(
                into_response(PluginResponse::new(status)).is_err(),
                "{status}"
            );
        }
        for status in [200, 204, 304, 418, 599] {
            assert!(
                into_response(PluginResponse::new(status)).is_ok(),
                "{status}"
            );
        }
    }

    #[test]
    fn headers_cannot_be_smuggled() {
        for (name, value) in [
            ("x", "a\r\nset-cookie: b"),
            ("x\r\ny", "a"),
            ("", "a"),
            ("x y", "a"),
            ("x", "a\0"),
        ] {
            let answer = PluginResponse::new(200).with_header(name, value);
            assert!(into_response(answer).is_err(), "{name:?} {value:?}");
        }
    }

    #[test]
    fn headers_of_the_connection_are_dropped_and_others_repeat() {
        let answer = PluginResponse::new(200)
            .with_header("Content-Length", "999")
            .with_header("transfer-encoding", "chunked")
            .with_header("Connection", "close")
            .with_header("set-cookie", "a=1")
            .with_header("Set-Cookie", "b=2");
        let response = into_response(answer).unwrap();
        assert_eq!(response.headers().len(), 2);
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    }

    #[tokio::test]
    async fn a_body_that_is_ready_has_a_length() {
        let whole = into_response(PluginResponse::text("hello")).unwrap();
        assert_eq!(whole.body().size_hint().exact(), Some(5));
        let written = PluginResponse::stream("text/plain", |writer| async move {
            for chunk in ["a", "b", "c"] {
                writer.write(chunk).await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        });
        let streamed = into_response(written).unwrap();
        assert_eq!(streamed.body().size_hint().exact(), None);
        let text = streamed.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&text[..], b"abc");
    }

    #[tokio::test]
    async fn a_body_that_fails_breaks_off() {
        let failing = PluginResponse::stream("text/plain", |writer| async move {
            writer.write("a").await?;
            Err(Error::internal("no more"))
        });
        let response = into_response(failing).unwrap();
        assert!(response.into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn a_guards_refusal_keeps_its_words_and_headers() {
        let answer = PluginResponse::json(&serde_json::json!({
            "error": "rate_limited", "message": "Too many requests."
        }))
        .unwrap()
        .with_status(429)
        .with_header("retry-after", "3");
        let (error, kept) = as_route_error(into_response(answer).unwrap()).await;
        assert_eq!((error.status, error.code.as_str()), (429, "RATE_LIMITED"));
        assert_eq!(error.message, "Too many requests.");
        assert_eq!(kept.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guards_refusal_that_does_not_end_is_rendered_without_its_words() {
        let endless = PluginResponse::stream("application/json", |writer| async move {
            writer.write("{\"message\":").await?;
            std::future::pending().await
        });
        let refused = into_response(endless.with_status(403)).unwrap();
        let (error, _) = as_route_error(refused).await;
        assert_eq!((error.status, error.message.as_str()), (403, "Forbidden"));
    }
}

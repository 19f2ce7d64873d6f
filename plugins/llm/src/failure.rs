//! Why a provider did not answer: a cause that clients read, and a text for the operator's log.
//!
//! Nothing that the provider wrote reaches a client.

use std::error::Error as _;
use std::time::Duration;

use genai::webc::StreamTimeout;
use mortise_plugin_api::prelude::*;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::target::Target;

/// A kind of failure, as clients read it in the error's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    RateLimited,
    Overloaded,
    ContextTooLong,
    Refused,
    Auth,
    Rejected,
    Timeout,
    UpstreamTruncated,
    Upstream,
}

/// A failure of a provider.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// Whether the same request may succeed in a moment.
    pub(crate) may_pass: bool,
    /// What the provider asks to wait.
    pub(crate) retry_after: Option<Duration>,
    status: Option<StatusCode>,
    /// For the log, once its key is taken out.
    detail: String,
}

// === impl Failure ===

impl Failure {
    fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            may_pass: false,
            retry_after: None,
            status: None,
            detail: detail.into(),
        }
    }

    /// The answer has no end.
    pub(crate) fn truncated() -> Self {
        Self {
            may_pass: true,
            ..Self::new(
                Cause::UpstreamTruncated,
                "the stream was cut before its end",
            )
        }
    }

    /// The answer is none.
    pub(crate) fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(Cause::Upstream, detail)
    }

    /// Nothing came for this long.
    pub(crate) fn silent(what: &str, waited: Duration) -> Self {
        Self::new(Cause::Timeout, format!("no {what} within {waited:?}"))
    }

    pub(crate) fn read(error: &genai::Error) -> Self {
        match error {
            genai::Error::WebStream { error, .. } => Self::of_transport(error.as_ref()),
            genai::Error::HttpError {
                status,
                body,
                headers,
                ..
            } => Self::of_response(*status, body, headers),
            genai::Error::ChatResponse { body, .. } => Self::of_body(None, body),
            genai::Error::StreamParse { serde_error, .. } => {
                Self::unreadable(format!("a frame is no JSON: {serde_error}"))
            }
            genai::Error::JsonValueExt(error) => {
                Self::unreadable(format!("a frame lacks something: {error}"))
            }
            genai::Error::MessageContentTypeNotSupported { cause, .. } => {
                Self::new(Cause::Rejected, *cause)
            }
            // The others may hold the request.
            _ => Self::new(
                Cause::Rejected,
                "the request cannot be put in the provider's form",
            ),
        }
    }

    fn of_transport(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        if let Some(genai::Error::HttpError {
            status,
            body,
            headers,
            ..
        }) = error.downcast_ref()
        {
            return Self::of_response(*status, body, headers);
        }
        if let Some(timeout) = error.downcast_ref::<StreamTimeout>() {
            return Self::new(Cause::Timeout, timeout.to_string());
        }
        let Some(error) = error.downcast_ref::<reqwest::Error>() else {
            return Self::unreadable("the stream is no text");
        };
        let mut detail = kind_of(error).to_owned();
        let mut source = error.source();
        while let Some(cause) = source {
            detail.push_str(": ");
            detail.push_str(&cause.to_string());
            source = cause.source();
        }
        if error.is_timeout() {
            return Self {
                may_pass: error.is_connect(),
                ..Self::new(Cause::Timeout, detail)
            };
        }
        if error.is_body() || error.is_decode() {
            // The connection ended within the body.
            return Self {
                detail,
                ..Self::truncated()
            };
        }
        Self {
            may_pass: true,
            ..Self::new(Cause::Upstream, detail)
        }
    }

    fn of_response(status: StatusCode, body: &str, headers: &HeaderMap) -> Self {
        let value = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
        Self {
            retry_after: retry_after(headers),
            ..Self::of_body(Some(status), &value)
        }
    }

    /// What an error of a provider says; within a stream it has no status.
    fn of_body(status: Option<StatusCode>, body: &Value) -> Self {
        let error = body.get("error").unwrap_or(body);
        let word = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = error
            .as_str()
            .or_else(|| error.get("message").and_then(Value::as_str))
            .unwrap_or_default();
        let kind = [word("type"), word("code"), word("status")].join(" ");
        let kind = kind.trim().to_ascii_lowercase();
        let number = error.get("code").and_then(Value::as_u64);
        let number = number.and_then(|it| StatusCode::from_u16(u16::try_from(it).ok()?).ok());
        let cause = cause(status.or(number), &kind, &message.to_ascii_lowercase());
        // A quota that is used up is not there again in a moment.
        let is_used_up = kind.contains("insufficient_quota");
        Self {
            may_pass: matches!(cause, Cause::RateLimited | Cause::Overloaded) && !is_used_up
                || cause == Cause::Upstream
                    && status
                        .is_none_or(|it| it.is_server_error() || it == StatusCode::REQUEST_TIMEOUT),
            status,
            ..Self::new(cause, format!("{kind}: {message}"))
        }
    }

    /// Whether another model may do better.
    pub(crate) fn others_may_do_better(&self) -> bool {
        !matches!(self.cause, Cause::Refused | Cause::Rejected)
    }

    /// Tells the operator.
    pub(crate) fn log(&self, target: &Target, next: &str) {
        tracing::warn!(
            provider = %target.provider.name,
            model = %target.model,
            cause = self.cause.name(),
            status = self.status.map(|it| it.as_u16()),
            detail = %target.provider.redacted(&self.detail),
            "a provider did not answer; {next}",
        );
    }

    /// As the client reads it.
    pub(crate) fn into_error(self, target: &Target) -> Error {
        let (code, sentence) = self.cause.told();
        let mut error = Error::new(code, sentence)
            .with_retryable(!matches!(
                self.cause,
                Cause::ContextTooLong | Cause::Refused | Cause::Auth | Cause::Rejected
            ))
            .with_context("cause", self.cause.name())
            .with_context("provider", target.provider.name.as_str())
            .with_context("model", target.model.as_str());
        if let Some(wait) = self.retry_after {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            error = error.with_context("retryAfterMs", wait);
        }
        error
    }
}

// === impl Cause ===

impl Cause {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ContextTooLong => "context_too_long",
            Self::Refused => "refused",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::UpstreamTruncated => "upstream_truncated",
            Self::Upstream => "upstream",
        }
    }

    /// The code and the sentence for clients.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::RateLimited => (
                "RATE_LIMITED",
                "The model's provider limits how often it may be asked; try again later.",
            ),
            Self::Overloaded => (
                "UPSTREAM_FAILED",
                "The model's provider is overloaded; try again later.",
            ),
            Self::ContextTooLong => (
                "VALIDATION_FAILED",
                "The conversation is longer than the model takes; shorten it or begin a new one.",
            ),
            Self::Refused => (
                "VALIDATION_FAILED",
                "The model's provider refuses this content; ask for something else.",
            ),
            Self::Auth => (
                "UPSTREAM_FAILED",
                "The model's provider does not accept this server's key; the operator has to check it.",
            ),
            Self::Rejected => (
                "UPSTREAM_FAILED",
                "The model's provider does not accept the request; the server's log says why.",
            ),
            Self::Timeout => (
                "TIMEOUT",
                "The model's provider did not answer in time; try again.",
            ),
            Self::UpstreamTruncated => (
                "UPSTREAM_FAILED",
                "The model's answer was cut before its end; try again.",
            ),
            Self::Upstream => (
                "UPSTREAM_FAILED",
                "The model's provider failed; try again later.",
            ),
        }
    }
}

fn cause(status: Option<StatusCode>, kind: &str, message: &str) -> Cause {
    let says = |words: &[&str]| words.iter().any(|it| message.contains(it));
    let is = |words: &[&str]| words.iter().any(|it| kind.contains(it));
    let code = status.map_or(0, |it| it.as_u16());
    let too_long = [
        "context length",
        "context window",
        "prompt is too long",
        "maximum context",
        "input token count",
        "too many tokens",
        "context size",
    ];
    if is(&["context_length_exceeded", "request_too_large"]) || code == 413 {
        return Cause::ContextTooLong;
    }
    if is(&[
        "content_filter",
        "content_policy",
        "content_policy_violation",
        "moderation",
    ]) {
        return Cause::Refused;
    }
    if is(&["overloaded"]) || code == 529 || code == 503 {
        return Cause::Overloaded;
    }
    if is(&[
        "rate_limit",
        "resource_exhausted",
        "insufficient_quota",
        "too_many_requests",
    ]) || code == 429
    {
        return Cause::RateLimited;
    }
    if is(&[
        "authentication",
        "permission",
        "unauthenticated",
        "invalid_api_key",
    ]) || matches!(code, 401 | 403)
        || says(&["api key not valid"])
    {
        return Cause::Auth;
    }
    if (400..500).contains(&code) || is(&["invalid_request"]) {
        return match code {
            408 => Cause::Upstream,
            _ if says(&too_long) => Cause::ContextTooLong,
            _ => Cause::Rejected,
        };
    }
    Cause::Upstream
}

/// What `retry-after` says in seconds, or `retry-after-ms`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|it| it / 1000.0)
        .or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_connect() {
        "cannot connect"
    } else if error.is_timeout() {
        "timed out"
    } else if error.is_body() || error.is_decode() {
        "the connection ended within the answer"
    } else {
        "the connection failed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        Failure::of_response(status, body, &HeaderMap::new())
    }

    #[test]
    fn what_providers_write_becomes_a_cause() {
        use Cause::{Auth, ContextTooLong, Overloaded, RateLimited, Refused, Rejected, Upstream};
        let table = [
            (
                429,
                r#"{"error":{"type":"tokens","code":"rate_limit_exceeded","message":"slow"}}"#,
                RateLimited,
                true,
            ),
            (
                429,
                r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#,
                RateLimited,
                false,
            ),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                Overloaded,
                true,
            ),
            (
                503,
                r#"{"error":{"code":503,"status":"UNAVAILABLE"}}"#,
                Overloaded,
                true,
            ),
            (
                400,
                r#"{"error":{"code":"context_length_exceeded","message":"…"}}"#,
                ContextTooLong,
                false,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#,
                ContextTooLong,
                false,
            ),
            (
                400,
                r#"{"error":{"code":"content_filter","message":"…"}}"#,
                Refused,
                false,
            ),
            (
                400,
                r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid."}}"#,
                Auth,
                false,
            ),
            (401, "no json", Auth, false),
            (404, r#"{"error":"model 'x' not found"}"#, Rejected, false),
            (408, "", Upstream, true),
            (500, "<html>", Upstream, true),
        ];
        for (status, body, cause, may_pass) in table {
            let failure = failure(status, body);
            assert_eq!(
                (failure.cause, failure.may_pass),
                (cause, may_pass),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_error_within_a_stream_has_its_cause_too() {
        let body = json!({ "type": "error", "error": { "type": "overloaded_error" } });
        let failure = Failure::of_body(None, &body);
        assert_eq!((failure.cause, failure.may_pass), (Cause::Overloaded, true));
    }

    #[test]
    fn waits_are_read_in_seconds_and_milliseconds() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "2".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(2)));
        headers.insert("retry-after-ms", "150".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_millis(150)));
        headers.insert("retry-after-ms", "-1".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }
}

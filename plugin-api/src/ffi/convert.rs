//! Conversions between the author's types and the types that cross, both ways.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::abi::stable::{ROption, RString, RVec};
use super::abi::{self, AbiBytes, AbiError, AbiResult};
use super::stream;
use crate::body::Body;
use crate::error::{Error, Issue, Result};
use crate::event::Event;
use crate::hook::{EventVerdict, GuardVerdict};
use crate::limit::{Limit, Taken};
use crate::message::Visibility;
use crate::model::Chunk;
use crate::response::Response;

// === errors ===

/// What an error has beside its fixed fields.
#[derive(serde::Serialize, serde::Deserialize, Default)]
#[serde(default)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    issues: Vec<Issue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    refusal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

pub fn error_to_abi(error: Error) -> AbiError {
    let Error {
        code,
        message,
        retryable,
        context,
        issues,
        refusal,
        status,
    } = error;
    let details = if context.is_none() && issues.is_empty() && !refusal && status.is_none() {
        RString::new()
    } else {
        let context = context.map(|context| *context);
        let details = Details {
            context,
            issues,
            refusal,
            status,
        };
        serde_json::to_string(&details).unwrap_or_default().into()
    };
    AbiError {
        code: code.unwrap_or_default().into(),
        message: message.into(),
        retryable,
        details,
    }
}

pub fn error_from_abi(error: AbiError) -> Error {
    let mut own = if error.code.is_empty() {
        Error::internal(error.message)
    } else {
        Error::new(error.code, error.message)
    }
    .with_retryable(error.retryable);
    let details: Details = serde_json::from_str(&error.details).unwrap_or_default();
    for (key, value) in details.context.into_iter().flatten() {
        own = own.with_context(key, value);
    }
    for issue in details.issues {
        own = own.with_issue(issue.path, issue.message);
    }
    own.refusal = details.refusal;
    match details.status {
        Some(status) => own.with_status(status),
        None => own,
    }
}

// === limits ===

pub fn limit_to_abi(limit: Limit) -> abi::Limit {
    let (kind, max, period_millis) = match limit {
        Limit::Window { max, period_ms } => (0, max, period_ms),
        Limit::Bucket { max, period_ms } => (1, max, period_ms),
    };
    abi::Limit {
        kind,
        max,
        period_millis,
    }
}

pub fn limit_from_abi(limit: abi::Limit) -> Result<Limit> {
    let abi::Limit {
        kind,
        max,
        period_millis: period_ms,
    } = limit;
    match kind {
        0 => Ok(Limit::Window { max, period_ms }),
        1 => Ok(Limit::Bucket { max, period_ms }),
        _ => Err(Error::unavailable(
            "this host does not know that kind of limit",
        )),
    }
}

pub fn taken_to_abi(taken: Taken) -> abi::Taken {
    abi::Taken {
        is_allowed: taken.is_allowed,
        remaining: taken.remaining,
        retry_after_millis: taken.retry_after_ms,
        resets_at_millis: taken.resets_at,
    }
}

pub fn taken_from_abi(taken: abi::Taken) -> Taken {
    let abi::Taken {
        is_allowed,
        remaining,
        retry_after_millis,
        resets_at_millis,
    } = taken;
    Taken {
        is_allowed,
        ..Taken::allowed(remaining)
    }
    .with_retry_after_ms(retry_after_millis)
    .with_resets_at(resets_at_millis)
}

pub fn result_from_abi<T>(result: AbiResult<T>) -> Result<T> {
    result.into_result().map_err(error_from_abi)
}

// === JSON ===

pub fn to_json(value: &(impl Serialize + ?Sized)) -> Result<AbiBytes> {
    Ok(serde_json::to_vec(value)?.into())
}

pub fn to_json_text(value: &(impl Serialize + ?Sized)) -> Result<RString> {
    Ok(serde_json::to_string(value)?.into())
}

pub fn from_json<T: DeserializeOwned>(bytes: &AbiBytes) -> Result<T> {
    let bytes = bytes.as_slice();
    // A service that answers nothing answers `null`.
    Ok(serde_json::from_slice(if bytes.is_empty() {
        b"null"
    } else {
        bytes
    })?)
}

// === events ===

pub fn event_to_abi(event: Event) -> Result<abi::Event_NE> {
    let event = match event {
        Event::TextMessageContent {
            message_id,
            delta,
            timestamp,
        } => abi::Event::TextDelta {
            message_id: message_id.into(),
            delta: delta.into(),
            timestamp,
        },
        Event::ReasoningMessageContent {
            message_id,
            visibility,
            delta,
            timestamp,
        } => abi::Event::ReasoningDelta {
            message_id: message_id.into(),
            visibility: visibility_name(visibility).into(),
            delta: delta.into(),
            timestamp,
        },
        other => abi::Event::Json {
            kind: other.kind().into(),
            json: to_json_text(&other)?,
        },
    };
    Ok(abi::Event_NE::new(event))
}

/// The event, or an error for a kind of crossing that this side does not know yet.
pub fn event_from_abi(event: abi::Event_NE) -> Result<Event> {
    let event = event
        .into_enum()
        .map_err(|_| Error::unavailable("an event crossed in a form newer than this side"))?;
    Ok(match event {
        abi::Event::TextDelta {
            message_id,
            delta,
            timestamp,
        } => Event::TextMessageContent {
            message_id: message_id.into(),
            delta: delta.into(),
            timestamp,
        },
        abi::Event::ReasoningDelta {
            message_id,
            visibility,
            delta,
            timestamp,
        } => Event::ReasoningMessageContent {
            message_id: message_id.into(),
            visibility: visibility_from(&visibility),
            delta: delta.into(),
            timestamp,
        },
        abi::Event::Json { json, .. } => serde_json::from_str(&json)?,
    })
}

fn visibility_name(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Summary => "summary",
        Visibility::Full => "full",
    }
}

fn visibility_from(name: &str) -> Visibility {
    if name == "full" {
        Visibility::Full
    } else {
        Visibility::Summary
    }
}

// === chunks ===

pub fn chunk_to_abi(chunk: Chunk) -> Result<abi::Chunk_NE> {
    let chunk = match chunk {
        Chunk::Text { delta } => abi::Chunk::Text {
            delta: delta.into(),
        },
        Chunk::Reasoning { delta, visibility } => abi::Chunk::Reasoning {
            delta: delta.into(),
            visibility: visibility_name(visibility).into(),
        },
        Chunk::ToolCallArguments { call_id, delta } => abi::Chunk::ToolCallArguments {
            call_id: call_id.into(),
            delta: delta.into(),
        },
        other => abi::Chunk::Json {
            json: to_json_text(&other)?,
        },
    };
    Ok(abi::Chunk_NE::new(chunk))
}

pub fn chunk_from_abi(chunk: abi::Chunk_NE) -> Result<Chunk> {
    let chunk = chunk
        .into_enum()
        .map_err(|_| Error::unavailable("a chunk crossed in a form newer than this side"))?;
    Ok(match chunk {
        abi::Chunk::Text { delta } => Chunk::Text {
            delta: delta.into(),
        },
        abi::Chunk::Reasoning { delta, visibility } => Chunk::Reasoning {
            delta: delta.into(),
            visibility: visibility_from(&visibility),
        },
        abi::Chunk::ToolCallArguments { call_id, delta } => Chunk::ToolCallArguments {
            call_id: call_id.into(),
            delta: delta.into(),
        },
        abi::Chunk::Json { json } => serde_json::from_str(&json)?,
    })
}

// === responses and verdicts ===

pub fn response_to_abi(response: Response) -> abi::Response {
    let headers: RVec<abi::Header> = response
        .headers
        .into_iter()
        .map(|(name, value)| abi::Header {
            name: name.into(),
            value: value.into(),
        })
        .collect();
    let (full, stream) = match response.body.into_full() {
        Ok(bytes) => (bytes.into(), ROption::RNone),
        Err(body) => (AbiBytes::empty(), ROption::RSome(stream::body_to_abi(body))),
    };
    abi::Response {
        status: response.status,
        headers,
        full,
        stream,
    }
}

pub fn response_from_abi(response: abi::Response) -> Response {
    let headers = response
        .headers
        .into_iter()
        .map(|header| (header.name.into_string(), header.value.into_bytes()))
        .collect();
    let body = match response.stream {
        ROption::RSome(stream) => stream::body_from_abi(stream),
        ROption::RNone => Body::full(response.full.into_bytes()),
    };
    Response {
        status: response.status,
        headers,
        body,
    }
}

pub fn verdict_to_abi(verdict: GuardVerdict) -> Result<abi::Verdict_NE> {
    Ok(abi::Verdict_NE::new(match verdict {
        GuardVerdict::Pass => abi::Verdict::Pass,
        GuardVerdict::NoCredentials => abi::Verdict::NoCredentials,
        GuardVerdict::Respond(response) => abi::Verdict::Respond {
            response: abi::stable::RBox::new(response_to_abi(response)),
        },
        GuardVerdict::Authenticated(principal) => abi::Verdict::Authenticated {
            principal: to_json_text(&principal)?,
        },
    }))
}

pub fn verdict_from_abi(verdict: abi::Verdict_NE) -> Result<GuardVerdict> {
    let verdict = verdict
        .into_enum()
        .map_err(|_| Error::unavailable("a verdict crossed in a form newer than this side"))?;
    known_verdict(verdict)
}

/// A verdict of a form that this side knows.
pub fn known_verdict(verdict: abi::Verdict) -> Result<GuardVerdict> {
    Ok(match verdict {
        abi::Verdict::Pass => GuardVerdict::Pass,
        abi::Verdict::NoCredentials => GuardVerdict::NoCredentials,
        abi::Verdict::Respond { response } => {
            GuardVerdict::Respond(response_from_abi(abi::stable::RBox::into_inner(response)))
        }
        abi::Verdict::Authenticated { principal } => {
            GuardVerdict::Authenticated(serde_json::from_str(&principal)?)
        }
    })
}

pub fn event_verdict_to_abi(verdict: EventVerdict) -> Result<abi::EventAnswer_NE> {
    Ok(abi::EventAnswer_NE::new(match verdict {
        EventVerdict::Keep => abi::EventAnswer::Keep,
        EventVerdict::Drop => abi::EventAnswer::Drop,
        EventVerdict::Hold => abi::EventAnswer::Hold,
        EventVerdict::Abort(reason) => abi::EventAnswer::Abort {
            reason: reason.into(),
        },
        EventVerdict::Replace(event) => abi::EventAnswer::Replace {
            event: abi::stable::RBox::new(event_to_abi(event)?),
        },
    }))
}

pub fn event_verdict_from_abi(verdict: abi::EventAnswer_NE) -> Result<EventVerdict> {
    let verdict = verdict
        .into_enum()
        .map_err(|_| Error::unavailable("an answer crossed in a form newer than this side"))?;
    Ok(match verdict {
        abi::EventAnswer::Keep => EventVerdict::Keep,
        abi::EventAnswer::Drop => EventVerdict::Drop,
        abi::EventAnswer::Hold => EventVerdict::Hold,
        abi::EventAnswer::Abort { reason } => EventVerdict::Abort(reason.into()),
        abi::EventAnswer::Replace { event } => {
            EventVerdict::Replace(event_from_abi(abi::stable::RBox::into_inner(event))?)
        }
    })
}

// === contexts (the host makes these for linked-in use and for tests of the boundary) ===

/// A run context over an object that crossed.
pub fn run_from_abi(run: abi::RunObject, host: crate::Host) -> crate::RunContext {
    crate::RunContext::new(Arc::new(super::context::CrossedRun(run)), host)
}

/// A request over an object that crossed.
pub fn request_from_abi(request: abi::RequestObject) -> crate::Request {
    crate::Request::crossed(super::context::CrossedRequest(request))
}

/// A request that is borrowed, without counting one more reference to it: there is one for every
/// guard of every request.
#[expect(unsafe_code, reason = "a copy that is never dropped owns nothing")]
pub(super) fn borrowed_request(
    request: &abi::RequestObject,
) -> impl Deref<Target = crate::Request> + use<'_> {
    struct Borrowed<'a>(
        ManuallyDrop<crate::Request>,
        PhantomData<&'a abi::RequestObject>,
    );

    impl Deref for Borrowed<'_> {
        type Target = crate::Request;

        fn deref(&self) -> &crate::Request {
            &self.0
        }
    }

    // SAFETY: the copy lives no longer than what it was copied from, and is not dropped, so that the
    // object is given back once. It gives out nothing but references, whose clones are counted.
    let copy = unsafe { std::ptr::read(request) };
    Borrowed(ManuallyDrop::new(request_from_abi(copy)), PhantomData)
}

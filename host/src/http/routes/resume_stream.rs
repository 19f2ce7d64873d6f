//! `GET /:name/stream-events/resume?streamId=`: the events of a run from a cursor on.
//!
//! The agent in the path does not matter, and no `Accept` header is needed.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderValue;
use mortise_plugin_api::Error;

use super::{last_event_id, no_content};
use crate::http::error::Failure;
use crate::http::escapes;
use crate::http::router::Call;
use crate::http::sse::{self, Framing};
use crate::runtime::Resume;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let stream_id = escapes::query_param(call.request.uri.query(), "streamId").unwrap_or_default();
    if stream_id.is_empty() {
        return Err(Failure::invalid_at("/streamId", "streamId is required."));
    }
    if stream_id.trim().is_empty() {
        return Err(Error::invalid("streamId must be a non-empty string.")
            .with_context("streamId", stream_id)
            .into());
    }
    let after = last_event_id(&call.request.headers);
    let runtime = &call.state.runtime;
    let resumed = runtime
        .resume_stream(&stream_id, after, &call.principal())
        .await?;
    let mut response = match resumed {
        Resume::NoStore => return Ok(no_content()),
        Resume::Unknown => sse::empty_response(),
        Resume::Reader(reader) => {
            let run_id = Some(Arc::from(stream_id.as_str()));
            sse::response(
                reader,
                Framing::Resumed,
                run_id,
                call.state.settings.sse_heartbeat,
            )
        }
    };
    // An id that fits no header is no id of ours; there is nothing to echo.
    if let Ok(value) = HeaderValue::from_str(&stream_id) {
        response.headers_mut().insert("x-stream-id", value);
    }
    Ok(response)
}

//! `GET /:name/conversations/:id/resume`: the events of the conversation's active run.

use axum::response::Response;

use super::load_conversation::conversation_id;
use super::{last_event_id, no_content};
use crate::http::error::Failure;
use crate::http::router::Call;
use crate::http::sse::{self, Framing};

pub(in crate::http) fn answer(call: &Call<'_>) -> Result<Response, Failure> {
    let id = conversation_id(call)?;
    let after = last_event_id(&call.request.headers);
    let runtime = &call.state.runtime;
    let reader = runtime.resume_conversation(call.agent(), &id, after, &call.principal())?;
    Ok(match reader {
        Some(reader) => sse::response(
            reader,
            Framing::Resumed,
            None,
            call.state.settings.sse_heartbeat,
        ),
        None => no_content(),
    })
}

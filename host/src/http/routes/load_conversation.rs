//! `GET /:name/conversations/:id`: the stored items of a conversation.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::no_content;
use crate::http::error::{Failure, json_response};
use crate::http::escapes;
use crate::http::router::Call;

#[derive(Serialize)]
struct Conversation {
    items: Vec<mortise_plugin_api::Item>,
}

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let id = conversation_id(&call)?;
    let runtime = &call.state.runtime;
    let items = runtime
        .conversation(call.agent(), &id, &call.principal())
        .await?;
    Ok(match items {
        Some(items) => json_response(StatusCode::OK, &Conversation { items }),
        None => no_content(),
    })
}

/// The id in the path, decoded.
pub(super) fn conversation_id(call: &Call<'_>) -> Result<String, Failure> {
    let id = escapes::decode_segment(call.param("id"));
    if id.trim().is_empty() {
        return Err(Failure::invalid_at("/id", "Conversation id is required."));
    }
    Ok(id)
}

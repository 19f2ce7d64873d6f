//! `DELETE /-/conversations/:name/:id`: forgets what is stored of a conversation.

use axum::response::Response;

use super::load_conversation::conversation_id;
use super::no_content;
use crate::http::error::Failure;
use crate::http::router::Call;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let id = conversation_id(&call)?;
    let runtime = &call.state.runtime;
    let deleted = runtime
        .delete_conversation(call.agent(), &id, &call.principal())
        .await?;
    if deleted {
        Ok(no_content())
    } else {
        Err(Failure::not_found("Conversation not found."))
    }
}

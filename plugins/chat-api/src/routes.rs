//! The three routes.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::Chat;
use crate::door::Door;
use crate::operations::{self, operation};
use crate::request::ChatRequest;
use crate::turn::{Shown, Turn};
use crate::wire::{self, Frame};

pub(crate) fn mount(prefix: &str, door: Door, chat: &Arc<Chat>) -> Mount {
    let is_open = door.is_open();
    let with = |chat: &Arc<Chat>| Arc::clone(chat);
    let (streaming, blocking, listing) = (with(chat), with(chat), with(chat));
    Mount::absolute(prefix)
        .strict_slashes()
        .method_mismatch_is_not_found()
        .authenticated_by(move |request| {
            let verdict = door.check(&request);
            async move { Ok(verdict) }
        })
        .hide_routes()
        .render_error(wire::render)
        .components(operations::components())
        .endpoint(
            Endpoint::post("/chat", move |call| {
                let chat = Arc::clone(&streaming);
                async move { Ok(stream(begin(&chat, call).await?)) }
            })
            .operation(operation("POST /chat", is_open)),
        )
        .endpoint(
            Endpoint::post("/chat/sync", move |call| {
                let chat = Arc::clone(&blocking);
                async move { Ok(wait(begin(&chat, call).await?).await) }
            })
            .operation(operation("POST /chat/sync", is_open)),
        )
        .endpoint(
            Endpoint::get("/sessions", move |call| {
                let chat = Arc::clone(&listing);
                async move { list(&chat, &principal(&call)).await }
            })
            .operation(operation("GET /sessions", is_open)),
        )
}

fn principal(call: &EndpointCall) -> Principal {
    call.request.principal().unwrap_or_default()
}

async fn begin(chat: &Chat, call: EndpointCall) -> Result<Turn> {
    let principal = principal(&call);
    // The server has a limit of its own.
    let body = call.body.bytes(usize::MAX).await?;
    chat.begin(ChatRequest::parse(&body)?, &principal).await
}

fn stream(mut turn: Turn) -> Response {
    let response = Response::stream("text/event-stream", |writer| async move {
        loop {
            let (frame, is_last) = match turn.next().await {
                Shown::Frame(frame) => (frame, false),
                Shown::Question(question) => {
                    let session_id = turn.session.clone();
                    (
                        Frame::AskUserQuestion {
                            question,
                            session_id,
                        },
                        true,
                    )
                }
                Shown::Done { usage, .. } => {
                    let session_id = turn.session.clone();
                    (Frame::Done { usage, session_id }, true)
                }
                Shown::Failed(error) => (Frame::Error { error }, true),
            };
            writer.write_event(&frame).await?;
            if is_last {
                return Ok(());
            }
        }
    });
    response.with_header("cache-control", "no-cache")
}

async fn wait(mut turn: Turn) -> Response {
    let response = loop {
        match turn.next().await {
            Shown::Frame(_) => {}
            Shown::Question(text) | Shown::Done { response: text, .. } => break text,
            Shown::Failed(error) => return wire::failure(500, &error),
        }
    };
    wire::json_response(&json!({ "response": response, "sessionId": turn.session }))
}

async fn list(chat: &Chat, principal: &Principal) -> Result<Response> {
    let agent = chat.agent()?;
    let mut sessions = Vec::new();
    for session in chat.sessions.list(principal).await? {
        let stored = chat
            .host
            .conversation_of(agent, &session.id, principal)
            .await?;
        let items = stored.unwrap_or_default();
        let messages = items.iter().filter(|item| matches!(item, Item::Message(_)));
        sessions.push(session.described(messages.count()));
    }
    Ok(wire::json_response(&json!({ "sessions": sessions })))
}

//! The three routes.

use std::cmp::Reverse;
use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Door, PathPrefix, RunQuery, rfc3339, with_state};

use crate::Chat;
use crate::request::ChatRequest;
use crate::turn::{Shown, Turn};
use crate::wire::{self, tokens};

/// Names the run of a turn, which any other wire may show.
const RUN_ID: &str = "mortise-run-id";

pub(crate) fn mount(prefix: &PathPrefix, door: Door, chat: &Arc<Chat>) -> Mount {
    let mut openapi: Value = serde_json::from_str(include_str!("openapi.json"))
        .expect("the file beside this one is JSON");
    let operations = openapi["operations"].as_object_mut().into_iter().flatten();
    for (_, operation) in operations.filter(|_| !door.is_open()) {
        operation["security"] = json!([{ "token": [] }]);
    }
    Mount::absolute(prefix.to_string())
        .strict_slashes()
        .method_mismatch_is_not_found()
        .authenticated_by(move |request| {
            let verdict = door.verdict(&request, || wire::failure(401, "Unauthorized"));
            async move { Ok(verdict) }
        })
        .hide_routes()
        .render_error(wire::render)
        .endpoint(Endpoint::post("/chat", with_state(chat, stream)))
        .endpoint(Endpoint::post("/chat/sync", with_state(chat, wait)))
        .endpoint(Endpoint::get("/sessions", with_state(chat, list)))
        .components(openapi["components"].clone())
        .operations(&openapi["operations"])
}

async fn begin(chat: &Chat, call: EndpointCall) -> Result<Turn> {
    let principal = call.principal();
    // The server has a limit of its own, and whatever the content type says, it is JSON.
    let body = call.body.bytes(usize::MAX).await?;
    chat.begin(ChatRequest::parse(&body)?, &principal).await
}

async fn stream(chat: Arc<Chat>, call: EndpointCall) -> Result<Response> {
    let mut turn = begin(&chat, call).await?;
    let run_id = turn.run_id.clone();
    let shown = Response::events(&chat.host, |mut writer| async move {
        let last = loop {
            match turn.next().await {
                Shown::Frame(frame) => writer.send(&frame).await?,
                Shown::Question(text) => {
                    break json!({
                        "type": "AskUserQuestion", "question": text, "sessionId": turn.session,
                    });
                }
                Shown::Done { usage, .. } => {
                    break json!({
                        "type": "done", "usage": tokens(&usage), "sessionId": turn.session,
                    });
                }
                Shown::Failed(error) => break json!({ "type": "error", "error": error }),
            }
        };
        writer.send(&last).await
    });
    Ok(shown.with_header(RUN_ID, run_id))
}

async fn wait(chat: Arc<Chat>, call: EndpointCall) -> Result<Response> {
    let mut turn = begin(&chat, call).await?;
    let response = loop {
        match turn.next().await {
            Shown::Frame(_) => {}
            Shown::Question(text) | Shown::Done { response: text, .. } => break text,
            Shown::Failed(error) => return Ok(wire::failure(500, &error)),
        }
    };
    let answer = json!({ "response": response, "sessionId": turn.session });
    Ok(Response::json(&answer)?.with_header(RUN_ID, turn.run_id))
}

async fn list(chat: Arc<Chat>, call: EndpointCall) -> Result<Response> {
    let (agent, principal) = (chat.agent()?, &call.principal());
    let query = RunQuery {
        tenant: Some(principal.tenant.clone()),
        subject: Some(principal.subject.clone()),
        agent: Some(agent.to_owned()),
        ..RunQuery::default()
    };
    let mut known = chat.host.sessions(query).await?;
    known.sort_by_key(|session| Reverse(session.created_at));
    let model = chat.host.agent(agent).await?.and_then(|it| it.model);
    let (provider, model) = match model.as_deref().map(|model| model.split_once('/')) {
        Some(Some((provider, model))) => (Some(provider), Some(model)),
        _ => (None, model.as_deref()),
    };
    let mut sessions = Vec::new();
    for session in known.into_iter().take(chat.max_sessions) {
        let id = session.id;
        let stored = chat.host.conversation_of(agent, &id, principal).await?;
        let items = stored.unwrap_or_default();
        let messages = items.iter().filter(|item| matches!(item, Item::Message(_)));
        let created = rfc3339(session.created_at);
        sessions.push(json!({
            "id": id,
            "createdAt": created,
            "messageCount": messages.count(),
            "meta": {
                "id": id, "created": created, "provider": provider, "model": model,
                "interface": "http",
            },
        }));
    }
    Response::json(&json!({ "sessions": sessions }))
}

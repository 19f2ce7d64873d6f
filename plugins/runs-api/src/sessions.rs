//! Sessions: conversations of one agent, found by the runs in them.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{RunQuery, RunStatus, SessionOwner, rfc3339, with_state};

use crate::request::RunBody;
use crate::status::row;
use crate::{Api, problem};

pub(crate) fn register(mount: Mount, api: &Arc<Api>) -> Mount {
    mount
        .endpoint(Endpoint::get("/", with_state(api, list)))
        .endpoint(Endpoint::get("/:sessionId", with_state(api, show)))
        .endpoint(Endpoint::get("/:sessionId/runs", with_state(api, runs)))
        .endpoint(Endpoint::delete("/:sessionId", with_state(api, forget)))
}

async fn list(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let asked = |key: &str| call.request.query_param(key);
    let number = |key: &str| asked(key).and_then(|text| text.parse().ok());
    let page: usize = number("page").unwrap_or(0);
    let size = number("size").unwrap_or(20).clamp(1, 100);
    let query = RunQuery {
        agent: asked("agentId"),
        ..api.visible(&call)
    };
    let mut sessions = api.host.sessions(query).await?;
    if let Some(user) = asked("userId") {
        sessions.retain(|session| session.latest.principal.subject == user);
    }
    let mut content = Vec::new();
    for session in sessions.iter().skip(page.saturating_mul(size)).take(size) {
        content.extend(entity(&api, &session.latest).await?);
    }
    Response::json(&json!({
        "content": content,
        "totalElements": sessions.len(),
        "totalPages": sessions.len().div_ceil(size),
        "number": page,
        "size": size,
    }))
}

async fn show(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let runs = api.runs_of(&call).await?;
    let latest = runs.first().ok_or_else(|| missing(&call))?;
    let session = entity(&api, latest).await?;
    Response::json(&session.ok_or_else(|| missing(&call))?)
}

async fn runs(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let runs = api.runs_of(&call).await?;
    if runs.is_empty() {
        return Err(missing(&call));
    }
    Response::json(&runs.iter().map(row).collect::<Vec<_>>())
}

async fn forget(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    if let Some(run) = api.runs_of(&call).await?.first() {
        let id = call.param("sessionId");
        let gone = api.host.delete_conversation(&run.agent, id, &run.principal);
        gone.await?;
    }
    Ok(Response::new(204))
}

fn missing(call: &EndpointCall) -> Error {
    problem::missing("Session", call.param("sessionId"))
}

/// A session as its latest run tells of it; `None` where it was forgotten since.
async fn entity(api: &Api, run: &RunStatus) -> Result<Option<Value>> {
    let id = run.conversation_id.as_deref().unwrap_or_default();
    let host = &api.host;
    let items = host.conversation_of(&run.agent, id, &run.principal).await?;
    if items.is_none() && run.ended_at.is_some() {
        return Ok(None);
    }
    let messages = items.iter().flatten().filter_map(|item| match item {
        Item::Message(message) if !item.text().is_empty() => {
            Some(json!({ "role": message.role, "content": item.text() }))
        }
        _ => None,
    });
    Ok(Some(json!({
        "id": id,
        "sessionId": id,
        "userId": run.principal.subject,
        "agentId": run.agent,
        "messages": messages.collect::<Vec<_>>(),
        "updatedAt": rfc3339(run.ended_at.unwrap_or(run.created_at)),
    })))
}

impl Api {
    /// The session that a request wants, and whose it is: a new one of the caller, or one that the
    /// caller may see and that is with this agent.
    pub(crate) async fn session(
        &self,
        caller: Principal,
        agent: &str,
        body: &mut RunBody,
    ) -> Result<(Principal, String)> {
        let user = body.user_id.take();
        let Some(id) = body.session_id.take() else {
            return Ok((caller.or_user(user), uuid::Uuid::new_v4().to_string()));
        };
        let seen = self.config.visibility.runs_of(&caller);
        match self.host.session_owner(seen, agent, &id).await? {
            SessionOwner::Seen(owner) => Ok((owner, id)),
            SessionOwner::Nobody => Ok((caller.or_user(user), id)),
            SessionOwner::Hidden => Err(problem::missing("Session", &id)),
        }
    }

    /// The runs of the session of a path, the youngest first; none where the caller may not see it.
    async fn runs_of(&self, call: &EndpointCall) -> Result<Vec<RunStatus>> {
        let query = RunQuery {
            conversation_id: Some(call.param("sessionId").to_owned()),
            ..self.visible(call)
        };
        self.host.runs(&query).await
    }

    /// The runs that a caller may see.
    fn visible(&self, call: &EndpointCall) -> RunQuery {
        self.config.visibility.runs_of(&call.principal())
    }
}

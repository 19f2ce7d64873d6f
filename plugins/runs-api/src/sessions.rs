//! Sessions: conversations of one agent, found by the runs in them.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{RunQuery, RunStatus, SessionOwner, rfc3339, with_state};

use crate::request::{RunBody, param};
use crate::status::row;
use crate::{Api, problem};

/// As many sessions are on a page at most.
const MOST: usize = 100;

pub(crate) fn register(mount: Mount, api: &Arc<Api>) -> Mount {
    mount
        .endpoint(Endpoint::get("/", with_state(api, list)))
        .endpoint(Endpoint::get("/:sessionId", with_state(api, show)))
        .endpoint(Endpoint::get("/:sessionId/runs", with_state(api, runs)))
        .endpoint(Endpoint::delete("/:sessionId", with_state(api, forget)))
}

async fn list(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let asked = |key: &str| call.request.query_param(key);
    let number = |key: &str, least: usize, usual: usize| {
        let text = asked(key).unwrap_or_else(|| usual.to_string());
        let number = text.parse().ok().filter(|number: &usize| *number >= least);
        number.ok_or_else(|| problem::invalid(key, &format!("must be a number from {least}")))
    };
    let page = number("page", 0, 0)?;
    let size = number("size", 1, 20)?.min(MOST);
    let query = RunQuery {
        agent: asked("agentId"),
        ..api.visible(&call)
    };
    let mut sessions = api.host.sessions(query).await?;
    if let Some(user) = asked("userId") {
        sessions.retain(|session| session.latest.principal.subject == user);
    }
    // Which ones were forgotten is known when they were looked at.
    let (mut total, mut content) = (0_usize, Vec::new());
    for session in &sessions {
        let Some(entity) = entity(&api, &session.latest, session.created_at).await? else {
            continue;
        };
        if total / size == page {
            content.push(entity);
        }
        total += 1;
    }
    Response::json(&json!({
        "content": content,
        "totalElements": total,
        "totalPages": total.div_ceil(size),
        "number": page,
        "size": size,
    }))
}

async fn show(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let runs = api.runs_of(&call).await?;
    let ends = runs.first().zip(runs.last());
    let (latest, oldest) = ends.ok_or_else(|| missing(&call))?;
    let session = entity(&api, latest, oldest.created_at).await?;
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
        let id = param(&call, "sessionId");
        let gone = api
            .host
            .delete_conversation(&run.agent, &id, &run.principal);
        gone.await?;
    }
    Ok(Response::new(204))
}

fn missing(call: &EndpointCall) -> Error {
    problem::missing("Session", &param(call, "sessionId"))
}

/// A session as its latest run tells of it; `None` where it was forgotten since.
async fn entity(api: &Api, run: &RunStatus, created_at: u64) -> Result<Option<Value>> {
    let id = run.conversation_id.as_deref().unwrap_or_default();
    let host = &api.host;
    let items = host.conversation_of(&run.agent, id, &run.principal).await?;
    // A run that has not ended well leaves nothing behind.
    if items.is_none() && run.state == "finished" {
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
        "createdAt": rfc3339(created_at),
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
            conversation_id: Some(param(call, "sessionId")),
            ..self.visible(call)
        };
        self.host.runs(&query).await
    }

    /// The runs that a caller may see.
    fn visible(&self, call: &EndpointCall) -> RunQuery {
        self.config.visibility.runs_of(&call.principal())
    }
}

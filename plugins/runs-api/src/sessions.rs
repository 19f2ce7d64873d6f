//! Sessions: conversations of one agent, found by the runs in them.

use std::collections::HashSet;
use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{RunQuery, RunStatus};

use crate::request::{RunBody, caller, is_shared, owner, param};
use crate::status::{row, time};
use crate::{Api, Visibility, problem};

/// How many of the youngest runs are looked at.
const MOST_RUNS: u32 = 1000;

pub(crate) fn register(mount: Mount, api: &Arc<Api>) -> Mount {
    mount
        .endpoint(api.endpoint("GET", "/", "A page of sessions", list))
        .endpoint(api.endpoint("GET", "/:sessionId", "One session", show))
        .endpoint(api.endpoint("GET", "/:sessionId/runs", "The runs of a session", runs))
        .endpoint(api.endpoint("DELETE", "/:sessionId", "Forgets a session", forget))
}

async fn list(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let number = |key: &str| {
        call.request
            .query_param(key)
            .and_then(|text| text.parse().ok())
    };
    let page: usize = number("page").unwrap_or(0);
    let size = number("size").unwrap_or(20).clamp(1, 100);
    let user = call.request.query_param("userId");
    let mut query = api.visible(&caller(&call.request));
    query.agent = call.request.query_param("agentId");
    let mut seen = HashSet::new();
    let mut sessions = api.host.runs(&query).await?;
    sessions.retain(|run| {
        user.as_ref()
            .is_none_or(|user| run.principal.subject == *user)
            && run
                .conversation_id
                .clone()
                .is_some_and(|id| seen.insert(id))
    });
    let mut content = Vec::new();
    for run in sessions.iter().skip(page.saturating_mul(size)).take(size) {
        content.extend(entity(&api, run).await?);
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
    let id = param(&call.request, "sessionId");
    let runs = api.runs_of(&caller(&call.request), id).await?;
    let session = match runs.first() {
        Some(latest) => entity(&api, latest).await?,
        None => None,
    };
    Response::json(&session.ok_or_else(|| problem::missing("Session", id))?)
}

async fn runs(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let id = param(&call.request, "sessionId");
    let runs = api.runs_of(&caller(&call.request), id).await?;
    if runs.is_empty() {
        return Err(problem::missing("Session", id));
    }
    Response::json(&runs.iter().map(row).collect::<Vec<_>>())
}

async fn forget(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let id = param(&call.request, "sessionId");
    let caller = caller(&call.request);
    if let Some(run) = api.runs_of(&caller, id).await?.first() {
        let host = &api.host;
        host.delete_conversation(&run.agent, id, &run.principal)
            .await?;
    }
    Ok(Response::new(204))
}

/// A session as its latest run tells of it; `None` where it was forgotten since.
async fn entity(api: &Api, run: &RunStatus) -> Result<Option<Value>> {
    let id = run.conversation_id.as_deref().unwrap_or_default();
    let items = api
        .host
        .conversation_of(&run.agent, id, &run.principal)
        .await?;
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
        "updatedAt": time(run.ended_at.unwrap_or(run.created_at)),
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
            return Ok((owner(caller, user), uuid::Uuid::new_v4().to_string()));
        };
        let own = RunQuery {
            agent: Some(agent.to_owned()),
            ..self.visible(&caller)
        };
        if let Some(run) = self.latest(own, &id).await? {
            return Ok((run.principal, id));
        }
        // Whoever else has it, and whichever agent: it is not to be had.
        match self.latest(RunQuery::default(), &id).await? {
            Some(_) => Err(problem::missing("Session", &id)),
            None => Ok((owner(caller, user), id)),
        }
    }

    async fn latest(&self, query: RunQuery, id: &str) -> Result<Option<RunStatus>> {
        let query = RunQuery {
            conversation_id: Some(id.to_owned()),
            limit: 1,
            ..query
        };
        Ok(self.host.runs(&query).await?.into_iter().next())
    }

    /// The runs of a session, the youngest first; none where the caller may not see it.
    async fn runs_of(&self, caller: &Principal, id: &str) -> Result<Vec<RunStatus>> {
        let query = RunQuery {
            conversation_id: Some(id.to_owned()),
            ..self.visible(caller)
        };
        self.host.runs(&query).await
    }

    /// The runs that a caller may see.
    fn visible(&self, caller: &Principal) -> RunQuery {
        let own_alone = self.config.visibility == Visibility::Subject && !is_shared(caller);
        RunQuery {
            tenant: Some(caller.tenant.clone()),
            subject: own_alone.then(|| caller.subject.clone()),
            limit: MOST_RUNS,
            ..RunQuery::default()
        }
    }
}

//! `GET /agents` and `GET /agents/:agentId`.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AgentSummary, with_state};

use crate::request::param;
use crate::{Api, problem};

pub(crate) fn register(mount: Mount, api: &Arc<Api>) -> Mount {
    mount
        .endpoint(Endpoint::get("/", with_state(api, list)))
        .endpoint(Endpoint::get("/:agentId", with_state(api, show)))
}

async fn list(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let all = call.request.query_param("includeInactive").as_deref() == Some("true");
    let agents = api.host.agents().await?;
    let agents = agents.iter().map(|agent| entity(&api, agent));
    let agents = agents.filter(|agent| all || agent["active"] == true);
    Response::json(&agents.collect::<Vec<_>>())
}

async fn show(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let id = param(&call, "agentId");
    let agent = api.host.agent(&id).await?;
    let agent = agent.ok_or_else(|| problem::missing("Agent", &id))?;
    Response::json(&entity(&api, &agent))
}

fn entity(api: &Api, agent: &AgentSummary) -> Value {
    json!({
        "id": agent.name,
        "agentId": agent.name,
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "tools": agent.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(),
        "is_team": false,
        "isTeam": false,
        "active": api.config.is_active(&agent.name),
    })
}

impl Api {
    /// The agent, if it can be run.
    pub(crate) async fn agent(&self, id: &str) -> Result<AgentSummary> {
        let agent = self.host.agent(id).await?;
        agent
            .filter(|agent| self.config.is_active(&agent.name))
            .ok_or_else(|| problem::missing("Agent", id))
    }
}

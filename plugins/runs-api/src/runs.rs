//! Everything below `/agents/:agentId/runs`: starting, asking, deciding, cancelling.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AgentSummary, RunEnd, RunGuard, RunStatus, Transcript};

use crate::request::{RunBody, acting};
use crate::{Api, media, problem, status, stream};

const MOST_IDS: usize = 100;

/// A run that has begun.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) run_id: String,
    pub(crate) session: String,
    pub(crate) owner: Principal,
    pub(crate) wants_followups: bool,
    model: Option<String>,
}

#[derive(Deserialize)]
struct Decision {
    action: Action,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Action {
    #[serde(rename = "APPROVE", alias = "approve")]
    Approve,
    #[serde(rename = "REJECT", alias = "reject")]
    Reject,
}

pub(crate) fn register(mount: Mount, api: &Arc<Api>) -> Mount {
    let of = |path: &str| format!("/:agentId/runs{path}");
    mount
        .endpoint(api.endpoint("POST", of(""), "Runs an agent and waits", run))
        .endpoint(api.endpoint("POST", of("/stream"), "Runs an agent and streams", streamed))
        .endpoint(api.endpoint("POST", of("/background"), "Starts a run", background))
        .endpoint(api.endpoint("GET", of("/status"), "How up to 100 runs stand", show_many))
        .endpoint(api.endpoint("GET", of("/:runId/status"), "How a run stands", show))
        .endpoint(api.endpoint("POST", of("/:runId/continue"), "Decides on a run", decide))
        .endpoint(api.endpoint("DELETE", of("/:runId"), "Cancels a run", cancel))
}

async fn run(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let started = api.begin(call).await?;
    let mut guard = api.guard(&started.run_id);
    let told = Transcript::until_pause(&api.host, &started.run_id, None).await?;
    guard.iter_mut().for_each(RunGuard::release);
    let mut answer = api
        .answer(&started.run_id, &told, started.model.as_deref())
        .await?;
    if let Some(questions) = api.followups(&started, &told).await {
        answer["metadata"]["followUpSuggestions"] = json!(questions).to_string().into();
    }
    Response::json(&answer)
}

async fn streamed(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let started = api.begin(call).await?;
    Ok(stream::respond(api, started))
}

async fn background(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.begin(call).await?;
    let answer = json!({ "runId": run.run_id, "sessionId": run.session, "status": "QUEUED" });
    Response::json(&answer)
}

async fn show(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call).await?;
    let told = Transcript::of(&api.host, &run).await?;
    Response::json(&status::entity(&run, &told))
}

async fn show_many(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let agent = call.param("agentId");
    let ids = call.request.query_param("runIds");
    let ids = ids.ok_or_else(|| problem::invalid("runIds", "is required"))?;
    let ids = ids.split(',').map(str::trim);
    let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
    if ids.len() > MOST_IDS {
        let received = ids.len();
        let message = format!("Maximum {MOST_IDS} runIds per request (received {received})");
        return Err(Error::bad_request(message));
    }
    let caller = call.principal();
    let mut rows: Vec<Value> = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        if ids[..place].contains(id) {
            continue;
        }
        let run = api.host.run_status(id).await?;
        let run = api.seen(run, agent, &caller);
        rows.extend(run.as_ref().map(status::row));
    }
    Response::json(&rows)
}

async fn cancel(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call).await?;
    let by = acting(call.principal(), &run.principal);
    api.host.abort_run_for(&run.run_id, &by).await?;
    Ok(Response::new(204))
}

async fn decide(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call).await?;
    let by = acting(call.principal(), &run.principal);
    let Decision { action } = call.json().await.map_err(problem::of_body)?;
    let (host, id) = (&api.host, run.run_id.as_str());
    let not_paused = || problem::stale(format!("The run '{id}' does not wait for a decision."));
    let waiting = run.approvals.first().ok_or_else(not_paused)?;
    let (call_id, approved) = (waiting.tool_call_id.as_str(), action == Action::Approve);
    let decided = host.submit_approval_for(id, call_id, approved, &by);
    if !decided.await? {
        let now = host.run_status(id).await?;
        let mut waiting = now.iter().flat_map(|run| &run.approvals);
        let message = "You may not decide on this run: ask for the scope runs:approve.";
        return Err(if waiting.any(|waiting| waiting.tool_call_id == call_id) {
            Error::new("FORBIDDEN", message)
        } else {
            not_paused()
        });
    }
    let told = Transcript::until_pause(host, id, run.last_seq).await?;
    let model = host.agent(&run.agent).await?.and_then(|agent| agent.model);
    Response::json(&api.answer(id, &told, model.as_deref()).await?)
}

impl Api {
    /// What cancels a run when its client goes.
    pub(crate) fn guard(&self, run_id: &str) -> Option<RunGuard> {
        let cancels = self.config.cancel_on_disconnect;
        cancels.then(|| self.host.abort_on_drop(run_id))
    }

    /// Checks a request and begins its run.
    async fn begin(&self, call: EndpointCall) -> Result<Started> {
        let caller = call.principal();
        let AgentSummary { name, model, .. } = self.agent(call.param("agentId")).await?;
        let mut body = RunBody::read(self, call).await?;
        let (owner, session) = self.session(caller, &name, &mut body).await?;
        let input = media::input(self, &body).await?;
        let mut request = RunRequest::new(name, input)
            .with_conversation(session.as_str())
            .with_principal(owner.clone());
        let chosen = body
            .options
            .as_ref()
            .and_then(|options| options.model.clone());
        if let Some(Value::Object(options)) = body.options.map(|it| json!(it)) {
            request = request.with_model_options(options);
        }
        let run_id = self.host.start_agent(&request).await?;
        Ok(Started {
            run_id,
            session,
            owner,
            wants_followups: body.generate_followups.unwrap_or_default(),
            model: chosen.or(model),
        })
    }

    /// The run of a path, if the caller may see it.
    async fn find(&self, call: &EndpointCall) -> Result<RunStatus> {
        let (agent, id) = (call.param("agentId"), call.param("runId"));
        let run = self.host.run_status(id).await?;
        self.seen(run, agent, &call.principal())
            .ok_or_else(|| problem::missing("AgentRun", id))
    }

    /// The run, if it is of this agent and the caller may see it.
    fn seen(&self, run: Option<RunStatus>, agent: &str, caller: &Principal) -> Option<RunStatus> {
        let is_seen = |run: &RunStatus| self.config.visibility.lets(caller, &run.principal);
        run.filter(|run| run.agent == agent).filter(is_seen)
    }

    /// The answer for a client that waited.
    async fn answer(&self, run_id: &str, told: &Transcript, model: Option<&str>) -> Result<Value> {
        if let Some(RunEnd::Failed { code, message }) = &told.end {
            let message = status::public_message(code, message);
            return Err(Error::new(code, message).with_context("runId", run_id));
        }
        let run = self.host.run_status(run_id).await?;
        let run = run.ok_or_else(|| problem::missing("AgentRun", run_id))?;
        Ok(status::answer(&run, told, model))
    }
}

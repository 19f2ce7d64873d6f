//! Everything below `/agents/:agentId/runs`: starting, asking, deciding, cancelling.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AbortOnDrop, AgentSummary, RunEnd, RunStatus, Transcript};

use crate::request::{RunBody, acting, caller, param, read_json};
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
    let runs = |path: &str| format!("/:agentId/runs{path}");
    mount
        .endpoint(api.endpoint("POST", &runs(""), "Runs an agent and waits", run))
        .endpoint(api.endpoint(
            "POST",
            &runs("/stream"),
            "Runs an agent and streams",
            run_streamed,
        ))
        .endpoint(api.endpoint(
            "POST",
            &runs("/background"),
            "Starts a run",
            run_in_background,
        ))
        .endpoint(api.endpoint(
            "GET",
            &runs("/status"),
            "How up to 100 runs stand",
            show_many,
        ))
        .endpoint(api.endpoint("GET", &runs("/:runId/status"), "How a run stands", show))
        .endpoint(api.endpoint(
            "POST",
            &runs("/:runId/continue"),
            "Decides on a paused run",
            decide,
        ))
        .endpoint(api.endpoint("DELETE", &runs("/:runId"), "Cancels a run", cancel))
}

async fn run(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let started = api.begin(call).await?;
    let guard = api.guard(&started.run_id);
    let told = Transcript::until_pause(&api.host, &started.run_id, None).await?;
    guard.into_iter().for_each(AbortOnDrop::release);
    let mut answer = api
        .answer(&started.run_id, &told, started.model.as_deref())
        .await?;
    if let Some(questions) = api.followups(&started, &told).await {
        answer["metadata"]["followUpSuggestions"] = json!(questions).to_string().into();
    }
    Response::json(&answer)
}

async fn run_streamed(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let started = api.begin(call).await?;
    Ok(stream::respond(api, started))
}

async fn run_in_background(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let Started {
        run_id, session, ..
    } = api.begin(call).await?;
    Response::json(&json!({ "runId": run_id, "sessionId": session, "status": "QUEUED" }))
}

async fn show(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call.request).await?;
    let told = Transcript::of(&api.host, &run).await?;
    Response::json(&status::entity(&run, &told))
}

async fn show_many(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let agent = param(&call.request, "agentId");
    let ids = call.request.query_param("runIds");
    let ids = ids.ok_or_else(|| problem::invalid("runIds", "is required"))?;
    let ids: Vec<&str> = ids
        .split(',')
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .collect();
    if ids.len() > MOST_IDS {
        let received = ids.len();
        let message = format!("Maximum {MOST_IDS} runIds per request (received {received})");
        return Err(Error::bad_request(message));
    }
    let caller = caller(&call.request);
    let mut rows: Vec<Value> = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        if ids[..place].contains(id) {
            continue;
        }
        let run = api.host.run_status(id).await?;
        let run = run.filter(|run| run.agent == agent && api.may_see(&caller, &run.principal));
        rows.extend(run.as_ref().map(status::row));
    }
    Response::json(&rows)
}

async fn cancel(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call.request).await?;
    let by = acting(caller(&call.request), &run.principal);
    api.host.abort_run_for(&run.run_id, &by).await?;
    Ok(Response::new(204))
}

async fn decide(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call.request).await?;
    let by = acting(caller(&call.request), &run.principal);
    let Decision { action } = read_json(call).await?;
    let not_paused = || {
        problem::stale(format!(
            "The run '{}' does not wait for a decision.",
            run.run_id
        ))
    };
    let waiting = run.approvals.first().ok_or_else(not_paused)?;
    let call_id = waiting.tool_call_id.as_str();
    let approved = action == Action::Approve;
    if !api
        .host
        .submit_approval_for(&run.run_id, call_id, approved, &by)
        .await?
    {
        let now = api.host.run_status(&run.run_id).await?;
        let mut waiting = now.iter().flat_map(|run| &run.approvals);
        return Err(if waiting.any(|waiting| waiting.tool_call_id == call_id) {
            Error::new(
                "FORBIDDEN",
                "You may not decide on this run: ask for the scope runs:approve.",
            )
        } else {
            not_paused()
        });
    }
    let told = Transcript::until_pause(&api.host, &run.run_id, run.last_seq).await?;
    let model = api
        .host
        .agent(&run.agent)
        .await?
        .and_then(|agent| agent.model);
    Response::json(&api.answer(&run.run_id, &told, model.as_deref()).await?)
}

impl Api {
    /// What cancels a run when its client goes.
    pub(crate) fn guard(&self, run_id: &str) -> Option<AbortOnDrop> {
        let cancels = self.config.cancel_on_disconnect;
        cancels.then(|| self.host.abort_on_drop(run_id))
    }

    /// Checks a request and begins its run.
    async fn begin(&self, call: EndpointCall) -> Result<Started> {
        let caller = caller(&call.request);
        let AgentSummary { name, model, .. } = self.agent(param(&call.request, "agentId")).await?;
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
    async fn find(&self, request: &Request) -> Result<RunStatus> {
        let id = param(request, "runId");
        let agent = request.param("agentId");
        let run = self.host.run_status(id).await?;
        let caller = caller(request);
        run.filter(|run| agent.is_none_or(|agent| run.agent == agent))
            .filter(|run| self.may_see(&caller, &run.principal))
            .ok_or_else(|| problem::missing("AgentRun", id))
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

//! Everything below `/agents/:agentId/runs`: starting, asking, deciding, cancelling.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{
    AgentSummary, Decided, RunEnd, RunGuard, RunStatus, Transcript, with_state,
};

use crate::request::{RunBody, param};
use crate::{Api, media, problem, status, stream};

const MOST_IDS: usize = 100;

/// How long the end of a run is waited for that was cancelled: tools have a second to stop.
const END: Duration = Duration::from_secs(3);

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

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Action {
    #[serde(alias = "approve")]
    Approve,
    #[serde(alias = "reject")]
    Reject,
}

pub(crate) fn register(mount: Mount, api: &Arc<Api>) -> Mount {
    let of = |path: &str| format!("/:agentId/runs{path}");
    mount
        .endpoint(Endpoint::post(of(""), with_state(api, run)))
        .endpoint(Endpoint::post(of("/stream"), with_state(api, streamed)))
        .endpoint(Endpoint::post(
            of("/background"),
            with_state(api, background),
        ))
        .endpoint(Endpoint::get(of("/status"), with_state(api, show_many)))
        .endpoint(Endpoint::get(of("/:runId/status"), with_state(api, show)))
        .endpoint(Endpoint::post(
            of("/:runId/continue"),
            with_state(api, decide),
        ))
        .endpoint(Endpoint::delete(of("/:runId"), with_state(api, cancel)))
}

async fn run(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let started = api.begin(call).await?;
    let mut guard = api.guard(&started.run_id);
    let told = Transcript::until_pause(&api.host, &started.run_id).await?;
    guard.release();
    let (id, model) = (&started.run_id, started.model.as_deref());
    let mut answer = api.answer(id, &told, model).await?;
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
    let Started {
        run_id, session, ..
    } = api.begin(call).await?;
    Response::json(&json!({ "runId": run_id, "sessionId": session, "status": "QUEUED" }))
}

async fn show(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call).await?;
    let told = Transcript::of(&api.host, &run).await?;
    Response::json(&status::entity(&run, &told))
}

async fn show_many(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let mut lists = call.request.query_params();
    lists.retain(|(key, _)| key == "runIds");
    if lists.is_empty() {
        return Err(problem::invalid("runIds", "is required"));
    }
    let lists: Vec<String> = lists.into_iter().map(|(_, list)| list).collect();
    let ids = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
    let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
    if ids.len() > MOST_IDS {
        let received = ids.len();
        let message = format!("Maximum {MOST_IDS} runIds per request (received {received})");
        return Err(Error::bad_request(message));
    }
    let mut seen = HashSet::new();
    let mut rows: Vec<Value> = Vec::new();
    for id in ids.into_iter().filter(|id| seen.insert(*id)) {
        rows.extend(api.seen(&call, id).await?.as_ref().map(status::row));
    }
    Response::json(&rows)
}

async fn cancel(api: Arc<Api>, call: EndpointCall) -> Result<Response> {
    let run = api.find(&call).await?;
    let by = call.principal().acting_for(&run.principal);
    let host = &api.host;
    if host.abort_run_for(&run.run_id, &by).await? {
        let mut events = host.events(run.run_id.as_str(), run.last_seq);
        let end = async { while let Some(Ok(_)) = events.next().await {} };
        // One that takes longer ends all the same.
        let _ = tokio::time::timeout(END, end).await;
    }
    Ok(Response::new(204))
}

async fn decide(api: Arc<Api>, mut call: EndpointCall) -> Result<Response> {
    let run = api.find(&call).await?;
    let by = call.principal().acting_for(&run.principal);
    let Decision { action } = call.json().await.map_err(problem::of_body)?;
    let (host, id) = (&api.host, run.run_id.as_str());
    let decided = match host.decide(&run, action == Action::Approve, &by).await? {
        Decided::Done(call_id) => call_id,
        Decided::NothingWaits => return Err(problem::not_waiting(id)),
        Decided::NotAllowed => {
            let message = "You may not decide on this run: ask for the scope runs:approve.";
            return Err(Error::new("FORBIDDEN", message));
        }
    };
    let told = Transcript::until_next_pause(host, &run, &decided).await?;
    let model = host.agent(&run.agent).await?.and_then(|agent| agent.model);
    Response::json(&api.answer(id, &told, model.as_deref()).await?)
}

impl Api {
    /// What cancels a run when its client goes.
    pub(crate) fn guard(&self, run_id: &str) -> RunGuard {
        let guard = self.host.abort_on_drop(run_id);
        guard.only_if(self.config.cancel_on_disconnect)
    }

    /// Checks a request and begins its run.
    async fn begin(&self, call: EndpointCall) -> Result<Started> {
        let caller = call.principal();
        let AgentSummary { name, model, .. } = self.agent(&param(&call, "agentId")).await?;
        let mut body = RunBody::read(self, call).await?;
        let (owner, session) = self.session(caller, &name, &mut body).await?;
        let input = media::input(self, &body).await?;
        let key = json!([name, owner.tenant, owner.subject, session]).to_string();
        let _place = self.queue.enter(key).await;
        self.settled(&name, &session, &owner).await?;
        let mut request = RunRequest::new(name, input)
            .with_conversation(session.as_str())
            .with_principal(owner.clone())
            .with_unknown_tool_mode(ToolErrorMode::ToolError);
        let chosen = body.options.as_ref().and_then(|it| it.model.clone());
        if let Some(Value::Object(mut options)) = body.options.map(|it| json!(it)) {
            options.retain(|_, option| !option.is_null());
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

    /// Waits for the run that a session is in, as long as it does not wait itself.
    async fn settled(&self, agent: &str, session: &str, owner: &Principal) -> Result<()> {
        let host = &self.host;
        while let Some(run) = host.run_of_conversation(agent, session, owner).await? {
            if !run.approvals.is_empty() {
                return Err(problem::undecided(session, &run.run_id));
            }
            let told = Transcript::until_next_pause(host, &run, "").await?;
            if told.end.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// The run of a path.
    async fn find(&self, call: &EndpointCall) -> Result<RunStatus> {
        let id = param(call, "runId");
        let run = self.seen(call, &id).await?;
        run.ok_or_else(|| problem::missing("AgentRun", &id))
    }

    /// The run, if it is of the agent of the path and the caller may see it.
    async fn seen(&self, call: &EndpointCall, id: &str) -> Result<Option<RunStatus>> {
        let visibility = self.config.visibility;
        let run = visibility.run(&self.host, id, &call.principal()).await?;
        Ok(run.filter(|run| run.agent == param(call, "agentId")))
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

//! The services behind `Host`: what plugins may ask of the whole server, by name.

use std::sync::Arc;

use mortise_plugin_api::{
    Error, Limit, Principal, Result, RunQuery, RunRequest as PluginRunRequest, RunStatus, Taken,
    WaitingApproval,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::active::{ActiveRun, Decision};
use super::alias::{self, Named};
use super::api::{Caller, OutputRequest, ReadOutcome, RunRequest};
use super::service::{Runtime, unknown_agent};
use crate::plugin::capability::{BoxFuture, HostApi};
use crate::store::{ConversationKey, Expected, RunFilter, RunState, StoredRun, Whose};

/// How many runs a list has at most.
const MOST_RUNS: u32 = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfRun {
    run_id: String,
    #[serde(default)]
    after: Option<u64>,
    /// For whom.
    #[serde(default)]
    principal: Option<Arc<Principal>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult {
    run_id: String,
    tool_call_id: String,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalDecision {
    run_id: String,
    tool_call_id: String,
    approved: bool,
    #[serde(default)]
    note: Option<String>,
    /// Who decides; the plugin itself where it is absent.
    #[serde(default)]
    principal: Option<Arc<Principal>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfConversation {
    agent: String,
    conversation_id: String,
    #[serde(default)]
    principal: Option<Principal>,
}

#[derive(Deserialize)]
struct OneAgent {
    agent: String,
}

#[derive(Deserialize)]
struct State {
    key: String,
    #[serde(default)]
    expected: Option<Value>,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Allowance {
    key: String,
    limit: Limit,
    count: u32,
}

// === impl Runtime ===

impl HostApi for Runtime {
    fn call(
        &self,
        instance: Arc<str>,
        service: String,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value>> {
        let runtime = self.clone();
        Box::pin(async move { runtime.serve(&instance, &service, payload).await })
    }

    fn take(&self, instance: &str, key: &str, limit: Limit, count: u32) -> Result<Taken> {
        self.engine.ledger.take(instance, key, limit, count)
    }
}

impl Runtime {
    async fn serve(&self, instance: &str, service: &str, payload: Value) -> Result<Value> {
        match service {
            "agents.list" => Ok(serde_json::to_value(self.agents())?),
            "agents.get" => {
                let OneAgent { agent } = read(payload)?;
                let found = self.restricted().agent(&agent).ok();
                Ok(serde_json::to_value(found.map(|agent| agent.summary()))?)
            }
            "agents.run" => {
                let (agent, request, caller) = self.requested(instance, payload)?;
                let result = self.run_spec(agent, request, caller).await?;
                Ok(serde_json::to_value(result)?)
            }
            "agents.start" => {
                let (agent, request, caller) = self.requested(instance, payload)?;
                Ok((*self.start_spec(agent, request, caller).await?).into())
            }
            "tools.changed" => {
                self.engine.agents.refresh(instance)?;
                Ok(Value::Null)
            }
            "runs.events" => self.events(read(payload)?).await,
            "runs.status" => self.status(read(payload)?).await,
            "runs.of_conversation" => self.of_conversation(read(payload)?),
            // The run of a job is nobody's to leave: its alias is no id that is known here.
            "runs.leave" => {
                self.leave(&read::<OfRun>(payload)?.run_id);
                Ok(Value::Null)
            }
            "runs.abort" => {
                let OfRun {
                    run_id, principal, ..
                } = read(payload)?;
                let by = principal.unwrap_or_else(|| plugin(instance));
                Ok(self.unrestricted().abort(&run_id, &by).await?.into())
            }
            "runs.list" => self.list(read(payload)?).await,
            "runs.tool_result" => {
                let ToolResult {
                    run_id,
                    tool_call_id,
                    result,
                    error,
                } = read(payload)?;
                let result = error.map_or(Ok(result), Err);
                let (reach, by) = (self.unrestricted(), plugin(instance));
                let submitted = reach.submit_tool_result(&run_id, &tool_call_id, result, &by);
                Ok(submitted.await?.into())
            }
            "runs.approval" => self.decide(instance, read(payload)?).await,
            "conversations.load" => self.load(read(payload)?).await,
            "conversations.delete" => self.delete(read(payload)?).await,
            "state.get" => {
                let State { key, .. } = read(payload)?;
                let value = self.engine.store.state(instance, &key).await?;
                Ok(value.unwrap_or(Value::Null))
            }
            "state.set" => {
                let State { key, value, .. } = read(payload)?;
                let set = self
                    .engine
                    .store
                    .set_state(instance, &key, Expected::Anything, value);
                set.await?;
                Ok(Value::Null)
            }
            "state.compare_and_set" => {
                let State {
                    key,
                    expected,
                    value,
                } = read(payload)?;
                // An absent value and `null` are the same here: `null` removes.
                let set =
                    self.engine
                        .store
                        .set_state(instance, &key, Expected::Is(expected), value);
                Ok(set.await?.into())
            }
            "limits.take" => {
                let Allowance { key, limit, count } = read(payload)?;
                let taken = self.engine.ledger.take(instance, &key, limit, count)?;
                Ok(serde_json::to_value(taken)?)
            }
            "workflows.run" | "http.request" => Err(Error::unavailable(format!(
                "this server does not offer '{service}' yet"
            ))),
            other => Err(Error::unavailable(format!(
                "this server has no service '{other}'"
            ))),
        }
    }

    fn requested(
        &self,
        instance: &str,
        payload: Value,
    ) -> Result<(Arc<super::agents::AgentSpec>, RunRequest, Caller)> {
        let request: PluginRunRequest = read(payload)?;
        // Not only exposed ones: an agent that is not exposed is there for other code.
        let agent = self
            .engine
            .agents
            .now()
            .get(&request.agent)
            .cloned()
            .ok_or_else(|| unknown_agent(&request.agent))?;
        let caller = Caller {
            principal: Arc::new(request.principal.clone().unwrap_or_default()),
            request_id: format!("{}@{instance}", self.engine.ids.request()).into(),
        };
        Ok((agent, request.into(), caller))
    }

    async fn decide(&self, instance: &str, wanted: ApprovalDecision) -> Result<Value> {
        let decision = Decision {
            approved: wanted.approved,
            note: wanted.note,
            actor_id: None,
        };
        let (reach, by) = match wanted.principal {
            Some(principal) => (self.restricted(), principal),
            None => (self.unrestricted(), plugin(instance)),
        };
        let decided = reach.submit_approval(&wanted.run_id, &wanted.tool_call_id, decision, &by);
        Ok(decided.await?.into())
    }

    /// The next events of a run, waiting for at least one; `ended` once there will be no more.
    async fn events(&self, OfRun { run_id, after, .. }: OfRun) -> Result<Value> {
        let run_id = match self.named(&run_id).await? {
            Named::Run(run_id) => Some(run_id),
            Named::Unbegun(job) => self.engine.begun(&job.job.id).await?,
        };
        let ended = json!({ "events": [], "ended": true });
        let Some(run_id) = run_id else {
            return Ok(ended);
        };
        let Some(mut reader) = self.engine.reader(&run_id, after).await? else {
            return Ok(ended);
        };
        match reader.next().await {
            ReadOutcome::Events(batches) => {
                let mut events = Vec::new();
                for (number, json) in batches.into_iter().flatten() {
                    let mut event: Value = serde_json::from_slice(&json)?;
                    event["seq"] = number.into();
                    events.push(event);
                }
                Ok(json!({ "runId": run_id, "events": events, "ended": false }))
            }
            ReadOutcome::Lagged { .. } => Err(Error::unavailable(
                "the events after that number are not stored yet, or no longer kept",
            )),
            ReadOutcome::End { .. } => Ok(ended),
        }
    }

    async fn status(&self, OfRun { run_id, .. }: OfRun) -> Result<Value> {
        let run_id = match self.named(&run_id).await? {
            Named::Run(run_id) => run_id,
            Named::Unbegun(job) => return Ok(serde_json::to_value(alias::status(*job))?),
        };
        let status = if let Some(run) = self.engine.active.get(&run_id) {
            Some(running(&run))
        } else {
            let stored = self.engine.store.run(&run_id).await?;
            stored.map(ended)
        };
        Ok(serde_json::to_value(status)?)
    }

    async fn list(&self, query: RunQuery) -> Result<Value> {
        let filter = RunFilter {
            whose: Whose::of(query.tenant, query.subject),
            agent: query.agent,
            conversation_id: query.conversation_id,
            state: None,
            before: query.before,
            limit: query.limit.min(MOST_RUNS),
        };
        let stored = self.engine.store.runs(filter).await?;
        let runs = stored
            .into_iter()
            .map(|run| match self.engine.active.get(&run.id) {
                Some(active) => running(&active),
                None => ended(run),
            });
        Ok(serde_json::to_value(runs.collect::<Vec<_>>())?)
    }

    async fn delete(&self, wanted: OfConversation) -> Result<Value> {
        let owner = Arc::new(wanted.principal.unwrap_or_default());
        let runtime = self.unrestricted();
        let deleted = runtime.delete_conversation(&wanted.agent, &wanted.conversation_id, &owner);
        Ok(deleted.await?.into())
    }

    fn of_conversation(&self, wanted: OfConversation) -> Result<Value> {
        let owner = wanted.principal.unwrap_or_default();
        let active = &self.engine.active;
        let run = active.of_conversation(&wanted.agent.into(), &wanted.conversation_id, &owner);
        Ok(serde_json::to_value(run.map(|run| running(&run)))?)
    }

    async fn load(&self, wanted: OfConversation) -> Result<Value> {
        let OfConversation {
            agent,
            conversation_id,
            principal,
        } = wanted;
        let owner = principal.unwrap_or_default();
        let key = ConversationKey::new(&owner, &agent, &conversation_id);
        let stored = self.engine.store.load_conversation(&key).await?;
        Ok(serde_json::to_value(
            stored.map(|stored| stored.items.to_vec()),
        )?)
    }
}

// === impl RunRequest ===

impl From<PluginRunRequest> for RunRequest {
    fn from(request: PluginRunRequest) -> Self {
        Self {
            input: request.input,
            context: request.context,
            conversation_id: request.conversation_id,
            model_options: request.model_options,
            unknown_tool_mode: request.unknown_tool_mode,
            output: request.output_schema.map(|schema| OutputRequest {
                schema,
                name: None,
                strict: None,
            }),
            ..Self::default()
        }
    }
}

/// How a run stands that is alive.
fn running(run: &ActiveRun) -> RunStatus {
    let (id, agent) = (run.id.to_string(), run.agent.name.to_string());
    let mut status = RunStatus::new(id, agent, RunState::Running.as_str(), run.log.last_seq());
    status.principal = (*run.owner).clone();
    status.conversation_id = run.conversation_id().map(str::to_owned);
    status.created_at = run.created_at;
    status.approvals = approvals(run);
    status.usage = run.spent().total_if_any();
    status
}

/// What a run waits for with its parts, the oldest first: whoever watches the run sees no others.
fn approvals(run: &ActiveRun) -> Vec<WaitingApproval> {
    let parts = if run.lineage.is_part() {
        Vec::new()
    } else {
        run.lineage.parts()
    };
    let mut pending = run.pending_approvals();
    pending.extend(parts.iter().flat_map(|part| part.pending_approvals()));
    pending.sort_by(|(one, first), (other, second)| {
        let times = (first.requested.requested_at, second.requested.requested_at);
        times.0.cmp(&times.1).then_with(|| one.cmp(other))
    });
    let waiting = pending
        .into_iter()
        .map(|(tool_call_id, waiting)| WaitingApproval {
            tool_call_id,
            tool_name: waiting.tool,
            tool_input: waiting.requested.arguments,
        });
    waiting.collect()
}

/// How a run stands that is stored.
fn ended(run: StoredRun) -> RunStatus {
    let (id, agent) = (run.id.to_string(), run.agent.to_string());
    let mut status = RunStatus::new(id, agent, run.state.as_str(), None);
    status.principal = (*run.owner).clone();
    status.conversation_id = run.conversation_id;
    status.created_at = run.created_at;
    status.ended_at = run.ended_at;
    status.usage = run.usage;
    status
}

/// As whom the record names a plugin.
fn plugin(instance: &str) -> Arc<Principal> {
    Arc::new(Principal::new(instance).with_tenant("plugins"))
}

fn read<T: DeserializeOwned>(payload: Value) -> Result<T> {
    serde_json::from_value(payload).map_err(|error| {
        Error::bad_request(format!("the payload is not what is expected: {error}"))
    })
}

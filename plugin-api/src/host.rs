//! What a plugin may ask of the host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::agent::AgentSummary;
use crate::backend::HostBackend;
use crate::error::{Error, Result};
use crate::event::RunResult;
use crate::job::{Job, JobQuery, JobRequest};
use crate::limit::{Limit, Taken};
use crate::message::Item;
use crate::metric::{Metric, MetricKind};
use crate::principal::Principal;
use crate::request::Request;
use crate::run_request::RunRequest;
use crate::run_status::{Decided, RunQuery, RunStatus};
use crate::transcript::Transcript;

/// The host, for one plugin instance. Cheap to clone.
///
/// Everything but the clock, metrics, and what guards need at once is async, since the host may be
/// another process. During [`Plugin::create`](crate::Plugin::create) the services answer
/// `UNAVAILABLE`; so do those that a host does not have.
#[derive(Clone)]
pub struct Host {
    backend: Arc<dyn HostBackend>,
}

// Two that change a value at once need one retry; whoever loses this often meets a storm.
const UPDATES: usize = 16;

// === impl Host ===

impl Host {
    pub(crate) fn new(backend: Arc<dyn HostBackend>) -> Self {
        Self { backend }
    }

    /// The instance name from the configuration.
    pub fn instance(&self) -> &str {
        self.backend.instance()
    }

    /// The time, in milliseconds since 1970.
    pub fn now_millis(&self) -> u64 {
        self.backend.now_millis()
    }

    /// Sleeps, on the host's clock.
    pub async fn sleep(&self, duration: Duration) {
        self.backend.sleep(duration).await;
    }

    /// Adds to a counter: something that only grows, such as `refused_total`.
    ///
    /// The page of numbers, where the operator has one, shows it as
    /// `mortise_plugin_LIBRARY_NAME{plugin="INSTANCE",…}`. A name has ASCII letters, digits and `_`, and
    /// keeps its kind and the names of its labels. Each combination of labels is a series, of which an
    /// instance has 1,000 at most: never put into a label what a client has sent. What does not fit, a
    /// counter that would shrink, and what is no finite number are dropped, and logged once for each
    /// name; nothing fails.
    ///
    /// ```
    /// # fn refuse(host: &mortise_plugin_api::Host) {
    /// host.count("refused_total", 1.0, &[("rule", "per-minute")]);
    /// # }
    /// ```
    pub fn count(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        self.backend.metric(Metric {
            kind: MetricKind::Counter,
            name,
            value,
            labels,
        });
    }

    /// Sets a gauge: something that is as it is now, such as `connections_open`. Names and labels are as
    /// in [`count`](Self::count).
    pub fn gauge(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        self.backend.metric(Metric {
            kind: MetricKind::Gauge,
            name,
            value,
            labels,
        });
    }

    /// Records into a histogram: how long something took, in seconds, such as `lookup_seconds`; its
    /// buckets reach from a millisecond to half an hour. Names and labels are as in
    /// [`count`](Self::count); a histogram takes as many of the series as it has lines on the page, 19.
    pub fn record(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        self.backend.metric(Metric {
            kind: MetricKind::Histogram,
            name,
            value,
            labels,
        });
    }

    /// The agents that clients may run, in the order of their names.
    pub async fn agents(&self) -> Result<Vec<AgentSummary>> {
        self.typed("agents.list", Value::Null).await
    }

    /// An agent that clients may run, `None` where there is none of this name.
    pub async fn agent(&self, name: &str) -> Result<Option<AgentSummary>> {
        self.typed("agents.get", json!({ "agent": name })).await
    }

    /// Runs an agent and waits for the result.
    pub async fn run_agent(&self, request: &RunRequest) -> Result<RunResult> {
        self.typed("agents.run", serde_json::to_value(request)?)
            .await
    }

    /// Starts a run and returns its id; [`events`](Self::events) watches it.
    pub async fn start_agent(&self, request: &RunRequest) -> Result<String> {
        self.typed("agents.start", serde_json::to_value(request)?)
            .await
    }

    /// Waits until a run that was [started](Self::start_agent) has ended, and returns what it came
    /// to. The run goes on when nobody waits any more.
    pub async fn outcome(&self, run_id: &str) -> Result<RunResult> {
        let mut events = self.events(run_id, None);
        while let Some(event) = events.next().await {
            if let Some(outcome) = event?.event.outcome() {
                return outcome;
            }
        }
        Err(Error::internal(format!("the run '{run_id}' has no end")))
    }

    /// Aborts a run; says whether it was running.
    pub async fn abort_run(&self, run_id: &str) -> Result<bool> {
        self.typed("runs.abort", json!({ "runId": run_id })).await
    }

    /// The client that a run was shown to has gone: aborts the run, unless
    /// `runs.on_request_disconnect` says that it goes on.
    pub async fn leave_run(&self, run_id: &str) -> Result<()> {
        self.typed("runs.leave", json!({ "runId": run_id })).await
    }

    /// The streamed run that a conversation of this principal is in, `None` where there is none.
    pub async fn run_of_conversation(
        &self,
        agent: &str,
        id: &str,
        principal: &Principal,
    ) -> Result<Option<RunStatus>> {
        self.typed(
            "runs.of_conversation",
            json!({ "agent": agent, "conversationId": id, "principal": principal }),
        )
        .await
    }

    /// Where a run stands, `None` for one that is not known.
    pub async fn run_status(&self, run_id: &str) -> Result<Option<RunStatus>> {
        self.typed("runs.status", json!({ "runId": run_id })).await
    }

    /// The tools of the instance are others now: the host asks for them again.
    pub(crate) async fn tools_changed(&self) -> Result<()> {
        self.typed("tools.changed", Value::Null).await
    }

    /// Runs of whoever the query says, the youngest first, running ones too.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<RunStatus>> {
        self.typed("runs.list", serde_json::to_value(query)?).await
    }

    /// Aborts a run for somebody, whom the audit record names; says whether it was running.
    ///
    /// The plugin answers for it that this principal may.
    pub async fn abort_run_for(&self, run_id: &str, principal: &Principal) -> Result<bool> {
        let payload = json!({ "runId": run_id, "principal": principal });
        self.typed("runs.abort", payload).await
    }

    /// Answers a client tool; says whether the call was pending.
    pub async fn submit_tool_result(
        &self,
        run_id: &str,
        tool_call_id: &str,
        result: Result<Value, String>,
    ) -> Result<bool> {
        let mut payload = json!({ "runId": run_id, "toolCallId": tool_call_id });
        match result {
            Ok(value) => payload["result"] = value,
            Err(error) => payload["error"] = error.into(),
        }
        self.typed("runs.tool_result", payload).await
    }

    /// Decides on an approval; says whether it was pending.
    pub async fn submit_approval(
        &self,
        run_id: &str,
        tool_call_id: &str,
        approved: bool,
        note: Option<&str>,
    ) -> Result<bool> {
        let payload = json!({
            "runId": run_id, "toolCallId": tool_call_id, "approved": approved, "note": note,
        });
        self.typed("runs.approval", payload).await
    }

    /// [`submit_approval`](Self::submit_approval) for somebody, whom the audit record names; says
    /// whether it was pending and this principal may decide on it.
    pub async fn submit_approval_for(
        &self,
        run_id: &str,
        tool_call_id: &str,
        approved: bool,
        principal: &Principal,
    ) -> Result<bool> {
        let payload = json!({
            "runId": run_id, "toolCallId": tool_call_id, "approved": approved,
            "principal": principal,
        });
        self.typed("runs.approval", payload).await
    }

    /// Decides for somebody on the call of a run that waits for it: of several, on the one that was
    /// shown first, which [`Transcript::waiting`] names.
    pub async fn decide(
        &self,
        run: &RunStatus,
        approved: bool,
        principal: &Principal,
    ) -> Result<Decided> {
        let told = Transcript::of(self, run).await?;
        let Some(waiting) = told.waiting() else {
            return Ok(Decided::NothingWaits);
        };
        let (id, call_id) = (run.run_id.as_str(), waiting.id.as_str());
        let submitted = self.submit_approval_for(id, call_id, approved, principal);
        if submitted.await? {
            return Ok(Decided::Done(waiting.id.clone()));
        }
        let now = self.run_status(id).await?;
        let mut waiting = now.iter().flat_map(|run| &run.approvals);
        Ok(if waiting.any(|waiting| waiting.tool_call_id == call_id) {
            Decided::NotAllowed
        } else {
            Decided::NothingWaits
        })
    }

    /// Deletes a conversation of this principal; says whether there was one.
    pub async fn delete_conversation(
        &self,
        agent: &str,
        id: &str,
        principal: &Principal,
    ) -> Result<bool> {
        let payload = json!({ "agent": agent, "conversationId": id, "principal": principal });
        self.typed("conversations.delete", payload).await
    }

    /// The stored items of a conversation, `None` where there is none.
    pub async fn conversation(&self, agent: &str, id: &str) -> Result<Option<Vec<Item>>> {
        self.typed(
            "conversations.load",
            json!({ "agent": agent, "conversationId": id }),
        )
        .await
    }

    /// The stored items of a conversation of this principal, `None` where there is none.
    pub async fn conversation_of(
        &self,
        agent: &str,
        id: &str,
        principal: &Principal,
    ) -> Result<Option<Vec<Item>>> {
        self.typed(
            "conversations.load",
            json!({ "agent": agent, "conversationId": id, "principal": principal }),
        )
        .await
    }

    /// Enqueues a run to be done later: it is stored when this returns.
    ///
    /// # Errors
    /// Those of a run whose agent is not there, or whose input or context do not fit it; nothing is
    /// enqueued then. `UNAVAILABLE` where there is no store to keep it.
    pub async fn enqueue_job(&self, request: &JobRequest) -> Result<Job> {
        self.typed("jobs.enqueue", serde_json::to_value(request)?)
            .await
    }

    /// How a job stands, `None` for one that is not known.
    pub async fn job(&self, id: &str) -> Result<Option<Job>> {
        self.typed("jobs.get", json!({ "jobId": id })).await
    }

    /// Jobs of whoever the query says, the youngest first.
    pub async fn jobs(&self, query: &JobQuery) -> Result<Vec<Job>> {
        self.typed("jobs.list", serde_json::to_value(query)?).await
    }

    /// Cancels a job, and aborts its run if it has begun; says whether it had not ended.
    pub async fn cancel_job(&self, id: &str) -> Result<bool> {
        self.typed("jobs.cancel", json!({ "jobId": id })).await
    }

    /// Cancels a job for somebody, whom the audit record names; says whether it had not ended.
    ///
    /// The plugin answers for it that this principal may.
    pub async fn cancel_job_for(&self, id: &str, principal: &Principal) -> Result<bool> {
        let payload = json!({ "jobId": id, "principal": principal });
        self.typed("jobs.cancel", payload).await
    }

    /// Runs a workflow and waits for the result.
    ///
    /// # Errors
    /// `UNAVAILABLE`: this host has no workflows yet.
    pub async fn run_workflow(&self, id: &str, input: Value) -> Result<Value> {
        self.call("workflows.run", json!({ "workflow": id, "input": input }))
            .await
    }

    /// A value of this instance's state, `None` where there is none.
    ///
    /// Keys are any text, values any JSON, of any size; all plugins together may keep 100,000 keys.
    /// Without a database the state lasts as long as the process.
    pub async fn state_get(&self, key: &str) -> Result<Option<Value>> {
        self.typed("state.get", json!({ "key": key })).await
    }

    /// Sets a value of this instance's state; `null` removes it.
    pub async fn state_set(&self, key: &str, value: Value) -> Result<()> {
        self.typed("state.set", json!({ "key": key, "value": value }))
            .await
    }

    /// Sets a value if the present one is `expected`; says whether it was.
    pub async fn state_compare_and_set(
        &self,
        key: &str,
        expected: Option<Value>,
        value: Value,
    ) -> Result<bool> {
        let payload = json!({ "key": key, "expected": expected, "value": value });
        self.typed("state.compare_and_set", payload).await
    }

    /// Changes a value of this instance's state: what `change` makes of the present one takes its
    /// place. Where another call was faster, `change` is asked again. Returns what was set.
    ///
    /// # Errors
    /// Whatever `change` fails with, and `CONFLICT`, which is retryable, where others were faster
    /// sixteen times.
    pub async fn state_update(
        &self,
        key: &str,
        mut change: impl FnMut(Option<Value>) -> Result<Value>,
    ) -> Result<Value> {
        for _ in 0..UPDATES {
            let present = self.state_get(key).await?;
            let changed = change(present.clone())?;
            let set = self.state_compare_and_set(key, present, changed.clone());
            if set.await? {
                return Ok(changed);
            }
        }
        let message = format!("'{key}' is changed too often at once");
        Err(Error::new("CONFLICT", message).with_retryable(true))
    }

    /// Takes `count` of what a key of this instance may take. The server counts, exactly whoever
    /// asks at the same time, and goes on counting when the instance is made anew. Another limit
    /// for the same key begins anew.
    ///
    /// Keys that nobody asked for longest are forgotten when there are too many.
    ///
    /// # Errors
    /// `BAD_REQUEST` for a limit that holds nothing, or less than `count`.
    pub async fn take(&self, key: &str, limit: Limit, count: u32) -> Result<Taken> {
        self.typed(
            "limits.take",
            json!({ "key": key, "limit": limit, "count": count }),
        )
        .await
    }

    /// [`take`](Self::take) for guards that answer at once.
    ///
    /// # Errors
    /// As there, and `UNAVAILABLE` where the host cannot answer at once.
    pub fn take_now(&self, key: &str, limit: Limit, count: u32) -> Result<Taken> {
        self.backend.take(key, limit, count)
    }

    /// Takes one of `max` places of a key of this instance, for as long as the request lasts: until
    /// the last byte of its response was sent, or its client has gone. Places and what
    /// [`take`](Self::take) counts are apart.
    ///
    /// # Errors
    /// `UNAVAILABLE` where the host keeps no places, or the request is over.
    pub fn hold(&self, request: &Request, key: &str, max: u32) -> Result<Taken> {
        self.backend.hold(request, key, max)
    }

    /// Sends an HTTP request through the host's client. The form of the request and of its answer is
    /// not settled.
    ///
    /// # Errors
    /// `UNAVAILABLE`: this host has no client yet.
    pub async fn http(&self, request: Value) -> Result<Value> {
        self.call("http.request", request).await
    }

    /// Calls a service by name: for services newer than this SDK.
    ///
    /// # Errors
    /// `UNAVAILABLE` for a service that this host does not have.
    pub async fn call(&self, service: &str, payload: Value) -> Result<Value> {
        self.backend.call(service, payload).await
    }

    pub(crate) async fn typed<T: DeserializeOwned>(
        &self,
        service: &str,
        payload: Value,
    ) -> Result<T> {
        Ok(serde_json::from_value(self.call(service, payload).await?)?)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("instance", &self.instance())
            .finish_non_exhaustive()
    }
}

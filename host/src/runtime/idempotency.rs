//! Requests that a client may repeat: a key stands for the run that it began first.

use std::sync::Arc;

use mortise_plugin_api::{Error, Event, Principal, RunResult};
use serde_json::Value;

use super::agents::AgentSpec;
use super::api::{Awaited, Caller, RunOutcome, RunRequest, Streamed};
use super::failure;
use super::service::Runtime;
use crate::store::{IdempotencyKey, KeyedRun};

/// The key of a request that a client may repeat.
pub(crate) struct RequestKey {
    pub(crate) key: String,
    /// A digest of the request.
    pub(crate) request: String,
}

/// What becomes of a request with a key.
pub(crate) enum Once<T> {
    /// It has begun this run.
    Begun(T),
    /// An earlier request began this one.
    Known(Arc<str>),
}

// === impl Runtime ===

impl Runtime {
    /// Begins a run that answers with JSON, unless its key stands for one.
    ///
    /// # Errors
    /// `CONFLICT` for a key that came with another request, `NOT_FOUND` for an unknown agent,
    /// `RATE_LIMITED` when the quota of the principal is used up.
    pub(crate) async fn run_once(
        &self,
        agent: &str,
        key: RequestKey,
        mut request: RunRequest,
        caller: Caller,
    ) -> RunOutcome<Once<Awaited>> {
        let (runtime, agent) = (self.clone(), self.agent(agent)?);
        // A key that is stored stands for a run: one that nobody begins would be under way for ever.
        self.complete(async move {
            let claimed = runtime.claim(&agent, key, &mut request, &caller.principal);
            Ok(match claimed.await? {
                Some(known) => Once::Known(known),
                None => Once::Begun(runtime.begin_json(agent, request, caller).await),
            })
        })
        .await
    }

    /// The same of a streamed run.
    ///
    /// # Errors
    /// Those of [`run_once`](Self::run_once).
    pub(crate) async fn stream_once(
        &self,
        agent: &str,
        key: RequestKey,
        mut request: RunRequest,
        caller: Caller,
    ) -> RunOutcome<Once<Streamed>> {
        let (runtime, agent) = (self.clone(), self.agent(agent)?);
        self.complete(async move {
            let claimed = runtime.claim(&agent, key, &mut request, &caller.principal);
            Ok(match claimed.await? {
                Some(known) => Once::Known(known),
                None => Once::Begun(runtime.begin_stream(agent, request, caller).await),
            })
        })
        .await
    }

    /// Makes the key stand for the run that is about to begin; the run that it stands for, if it does.
    async fn claim(
        &self,
        agent: &AgentSpec,
        RequestKey { key, request }: RequestKey,
        run_request: &mut RunRequest,
        principal: &Principal,
    ) -> RunOutcome<Option<Arc<str>>> {
        let key = IdempotencyKey {
            tenant: principal.tenant.clone(),
            subject: principal.subject.clone(),
            agent: agent.name.to_string(),
            key,
        };
        let run_id: Arc<str> = self.engine.ids.run().into();
        let run = KeyedRun {
            run_id: Arc::clone(&run_id),
            request: request.clone(),
        };
        let (engine, quotas) = (&self.engine, self.engine.quotas.as_ref());
        let now = engine.clock.now_millis();
        if let Some(quotas) = quotas {
            // Before the key: one that stands for a run which may not begin would stay so.
            Box::pin(quotas.admit(principal, &*engine.store, now)).await?;
        }
        let claimed = engine.store.claim(key, run).await;
        if let (Some(quotas), Ok(Some(_)) | Err(_)) = (quotas, &claimed) {
            quotas.give_back(principal, now);
        }
        match claimed? {
            None => {
                run_request.claimed_id = Some(run_id);
                Ok(None)
            }
            Some(known) if known.request == request => Ok(Some(known.run_id)),
            Some(_) => Err(conflict(
                "This Idempotency-Key was used with another request.",
            )),
        }
    }

    /// The answer of a run that answered with JSON, for whoever repeats its request.
    ///
    /// # Errors
    /// What the run failed with; `CONFLICT` as long as it is under way, and for one that is not
    /// known.
    pub(crate) async fn repeated_answer(&self, run_id: &str) -> RunOutcome<RunResult> {
        // Before its answer is looked for, which is stored with its end.
        let run = self.engine.store.run(run_id).await?;
        let batches = self.engine.store.events(run_id, 0, 1).await?;
        if let Some((_, json)) = batches.iter().find_map(|batch| batch.peek()) {
            return answer(json, run_id);
        }
        match run {
            // It has no last words: the server ended before it did.
            Some(run) if run.ended_at.is_some() => Err(failure::of_run(&failure::interrupted())),
            Some(_) => Err(conflict(
                "The request with this Idempotency-Key is still under way.",
            )),
            // Whether it was done before it was forgotten, nobody knows: it is not begun again.
            None => Err(conflict(
                "The run of this Idempotency-Key has not begun yet, or is not known any more: ask \
                 again soon, or with another key.",
            )),
        }
    }
}

/// What a run came to, by its last event.
pub(super) fn answer(last_event: &[u8], run_id: &str) -> RunOutcome<RunResult> {
    match serde_json::from_slice(last_event)? {
        Event::RunFinished { result, .. } => Ok(result),
        Event::RunAborted { .. } => Err(Error::aborted(format!("Run '{run_id}' was aborted."))),
        Event::RunError { error, .. } => Err(failed_with(&error)),
        _ => Err(Error::internal("a run has no last event")),
    }
}

/// The error of a problem, as it was when the run failed with it.
fn failed_with(problem: &Value) -> Error {
    let code = problem["code"].as_str().unwrap_or("INTERNAL");
    let detail = problem["detail"].as_str().unwrap_or_default();
    let mut failed = Error::new(code, detail).with_retryable(problem["retryable"] == true);
    if let Some(Ok(status)) = problem["status"].as_u64().map(u16::try_from) {
        failed = failed.with_status(status);
    }
    let context = problem["context"].as_object();
    for (key, value) in context.into_iter().flatten() {
        failed = failed.with_context(key.as_str(), value.clone());
    }
    for issue in problem["issues"].as_array().into_iter().flatten() {
        let text = |key: &str| issue[key].as_str().unwrap_or_default();
        failed = failed.with_issue(text("path"), text("message"));
    }
    failed
}

pub(crate) fn conflict(message: &str) -> Error {
    Error::new("CONFLICT", message)
}

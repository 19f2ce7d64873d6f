//! Requests that a client may repeat: a key stands for the run that it began first.

use std::sync::Arc;

use mortise_plugin_api::{Error, Event, RunResult};
use serde_json::Value;

use super::active::ActiveRun;
use super::api::{Awaited, Caller, RunOutcome, RunRequest, Streamed};
use super::service::Runtime;
use super::{failure, start};
use crate::store::{AnswerKind, IdempotencyKey, KeyedRun};

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
        request.claimed_id = Some(self.engine.ids.run().into());
        // A key that is stored stands for a run: one that nobody begins would be under way for ever.
        self.complete(async move {
            let run = runtime.new_run(agent, request, caller, AnswerKind::Json);
            Ok(match runtime.claim(key, &run).await? {
                Some(known) => Once::Known(known),
                None => Once::Begun(runtime.begin_json(run).await),
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
        request.claimed_id = Some(self.engine.ids.run().into());
        self.complete(async move {
            let run = runtime.new_run(agent, request, caller, AnswerKind::Stream);
            Ok(match runtime.claim(key, &run).await? {
                Some(known) => Once::Known(known),
                None => Once::Begun(runtime.begin_stream(run).await),
            })
        })
        .await
    }

    /// Makes the key stand for the run that is about to begin; the run that it stands for, if it does.
    async fn claim(
        &self,
        RequestKey { key, request }: RequestKey,
        run: &ActiveRun,
    ) -> RunOutcome<Option<Arc<str>>> {
        let owner = &run.owner;
        let key = IdempotencyKey {
            tenant: owner.tenant.clone(),
            subject: owner.subject.clone(),
            agent: run.agent.name.to_string(),
            key,
        };
        let keyed = KeyedRun {
            run_id: Arc::clone(&run.id),
            request: request.clone(),
        };
        // A key does not stand for a run that may not begin; one that stands for another is answered
        // whatever its owner has used up.
        let admitted = self.admit(owner).await;
        let begun = admitted.is_ok().then(|| start::begun(run));
        let claimed = self.engine.store.claim(key, keyed, begun).await;
        if let (Some(quotas), Ok(()), Ok(Some(_)) | Err(_)) =
            (&self.engine.quotas, &admitted, &claimed)
        {
            quotas.give_back(owner, run.created_at);
        }
        match claimed? {
            None => admitted.map(|()| None),
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

/// The error of a problem as it was when the run failed with it, with its prefix and issues, so that
/// a repeated request reads the same; `Event::outcome` is for plugins.
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

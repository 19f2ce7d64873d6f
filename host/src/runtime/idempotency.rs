//! Requests that a client may repeat: a key stands for the run that it began first.

use std::sync::Arc;

use mortise_plugin_api::{Error, Event, Principal, RunResult};

use super::api::RunOutcome;
use super::failure;
use super::service::{Runtime, internal};
use crate::store::{IdempotencyKey, KeyedRun};

/// What a key stands for.
pub(crate) enum Claim {
    /// For a run with this id, which is to be begun.
    New(Arc<str>),
    /// For the run that an earlier request began.
    Known(Arc<str>),
}

// === impl Runtime ===

impl Runtime {
    /// What the key of a request stands for. `request` is a digest of it.
    ///
    /// # Errors
    /// `CONFLICT` for a key that came with another request, `NOT_FOUND` for an unknown agent,
    /// `RATE_LIMITED` when the quota of the principal is used up.
    pub(crate) async fn claim(
        &self,
        agent: &str,
        key: String,
        request: String,
        principal: &Principal,
    ) -> RunOutcome<Claim> {
        let agent = self.agent(agent)?;
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
        match claimed.map_err(internal)? {
            None => Ok(Claim::New(run_id)),
            Some(known) if known.request == request => Ok(Claim::Known(known.run_id)),
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
        let run = self.engine.store.run(run_id).await.map_err(internal)?;
        let last_words = self.engine.store.events(run_id, 0, 1).await;
        let batches = last_words.map_err(internal)?;
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
        Event::RunError { error, .. } => {
            let code = error["code"].as_str().unwrap_or("INTERNAL");
            let detail = error["detail"].as_str().unwrap_or_default();
            let mut failed = Error::new(code, detail);
            if let Some(Ok(status)) = error["status"].as_u64().map(u16::try_from) {
                failed = failed.with_status(status);
            }
            for (key, value) in error["context"].as_object().into_iter().flatten() {
                failed = failed.with_context(key.as_str(), value.clone());
            }
            Err(failed)
        }
        _ => Err(Error::internal("a run has no last event")),
    }
}

pub(crate) fn conflict(message: &str) -> Error {
    Error::new("CONFLICT", message)
}

//! The alias of a job's run: `run:` and the id of the job stand for the run of its last attempt,
//! wherever a run id may stand, and before the first attempt for a run that has not begun.

use std::sync::Arc;

use mortise_plugin_api::{JobState, Principal, RunStatus};
use serde_json::json;

use super::api::RunOutcome;
use super::engine::Engine;
use super::history::RunSummary;
use super::reader::Reader;
use super::service::Runtime;
use crate::store::{AnswerKind, JobChange, JobEnd, RunState, StoredJob, StoredRun};

/// What stands before the id of a job.
pub(crate) const JOB_ALIAS: &str = "run:";

/// What an id stands for.
pub(super) enum Named {
    Run(Arc<str>),
    /// The run of this job, which nobody knows yet, or any more.
    Unbegun(Box<StoredJob>),
}

// === impl Runtime ===

impl Runtime {
    /// What this id stands for; one that is no alias of a job for itself.
    pub(super) async fn named(&self, id: &str) -> RunOutcome<Named> {
        let Some(job) = self.job_of_alias(id).await? else {
            return Ok(Named::Run(id.into()));
        };
        let known = self.engine.known_run(&job).await?;
        Ok(known.map_or_else(|| Named::Unbegun(Box::new(job)), Named::Run))
    }

    /// The id of the run, where it has begun.
    pub(super) async fn run_named(&self, id: &str) -> RunOutcome<Arc<str>> {
        Ok(match self.named(id).await? {
            Named::Run(id) => id,
            Named::Unbegun(_) => id.into(),
        })
    }

    pub(super) async fn job_of_alias(&self, id: &str) -> RunOutcome<Option<StoredJob>> {
        match id.strip_prefix(JOB_ALIAS) {
            Some(job_id) => Ok(self.engine.store.job(job_id).await?),
            None => Ok(None),
        }
    }

    /// Cancels a job and aborts its run; whether it had not ended.
    pub(crate) async fn cancel_job(&self, id: &str, by: &Arc<Principal>) -> RunOutcome<bool> {
        let engine = Arc::clone(&self.engine);
        let (id, by) = (id.to_owned(), Arc::clone(by));
        self.complete(async move { engine.cancel_job(&id, &by).await })
            .await
    }
}

// === impl Engine ===

impl Engine {
    async fn cancel_job(&self, id: &str, by: &Arc<Principal>) -> RunOutcome<bool> {
        let end = JobEnd {
            state: JobState::Cancelled,
            now: self.clock.now_millis(),
            result: None,
            error: None,
            has_listeners: self.pipeline.hears_of_jobs(),
        };
        let cancel = JobChange::Cancel(end);
        let Some(cancelled) = self.store.change_job(id, cancel).await? else {
            return Ok(false);
        };
        let state = cancelled.job.state.as_str();
        self.metrics.job_ended(&cancelled.job.agent, state);
        let run_id: Option<Arc<str>> = cancelled.job.run.map(Arc::from);
        if let Some(run) = run_id.as_ref().and_then(|id| self.active.get(id)) {
            run.cancel.cancel();
        }
        self.audit("cancel_job", by, run_id.as_ref(), json!({ "jobId": id }));
        self.job_news.send_replace(());
        Ok(true)
    }

    /// The run of the last attempt, where anybody knows of it.
    async fn known_run(&self, job: &StoredJob) -> RunOutcome<Option<Arc<str>>> {
        let Some(run_id) = &job.job.run else {
            return Ok(None);
        };
        let is_known = self.active.get(run_id).is_some() || self.store.run(run_id).await?.is_some();
        Ok(is_known.then(|| run_id.as_str().into()))
    }

    /// The run of a job, once it has begun; `None` where it will not, as long as this server lives.
    pub(super) async fn begun(&self, job_id: &str) -> RunOutcome<Option<Arc<str>>> {
        let mut news = self.job_news.subscribe();
        loop {
            news.mark_unchanged();
            let Some(job) = self.store.job(job_id).await? else {
                return Ok(None);
            };
            if let Some(run_id) = self.known_run(&job).await? {
                return Ok(Some(run_id));
            }
            if job.job.state.is_end() {
                return Ok(None);
            }
            let changed = self.tasks.stopping().run_until_cancelled(news.changed());
            if !matches!(changed.await, Some(Ok(()))) {
                return Ok(None);
            }
        }
    }

    /// The log of a run after a cursor, then live; `None` where there is no such run.
    pub(super) async fn reader(
        &self,
        run_id: &str,
        after: Option<u64>,
    ) -> RunOutcome<Option<Reader>> {
        if let Some(run) = self.active.get(run_id) {
            return Ok(Some(Reader::resumed(Arc::clone(&run.log), after)));
        }
        let stored = self.store.run(run_id).await?;
        Ok(stored.map(|run| self.stored_reader(&run, after)))
    }

    /// The same of a run that was not alive a moment ago: one that is not over may have begun since.
    pub(super) fn stored_reader(&self, run: &StoredRun, after: Option<u64>) -> Reader {
        match self.active.get(&run.id).filter(|_| run.ended_at.is_none()) {
            Some(run) => Reader::resumed(Arc::clone(&run.log), after),
            None => Reader::stored(run, Arc::clone(&self.store), after),
        }
    }

    /// The log of the run of a job, which may begin first.
    pub(super) fn reader_of_job(self: &Arc<Self>, job_id: String, after: Option<u64>) -> Reader {
        let engine = Arc::clone(self);
        Reader::awaiting(Box::pin(async move {
            let reader = match engine.begun(&job_id).await {
                Ok(Some(run_id)) => engine.reader(&run_id, after).await,
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            reader.unwrap_or_else(|error| {
                tracing::error!(job_id, %error, "a reader was cut");
                None
            })
        }))
    }
}

/// How the run of a job looks that has not begun, or never will.
pub(super) fn summary(stored: &StoredJob) -> RunSummary {
    let job = &stored.job;
    RunSummary {
        run_id: job.run_id.as_str().into(),
        agent_name: job.agent.as_str().into(),
        conversation_id: None,
        answer: AnswerKind::Stream.as_str(),
        state: state(job.state),
        created_at: job.created_at,
        ended_at: job.completed_at,
        usage: None,
    }
}

/// The same for plugins.
pub(super) fn status(stored: StoredJob) -> RunStatus {
    let job = stored.job;
    let mut status = RunStatus::new(job.run_id, job.agent, state(job.state), None);
    status.principal = job.principal;
    status.created_at = job.created_at;
    status.ended_at = job.completed_at;
    status
}

fn state(state: JobState) -> &'static str {
    match state {
        JobState::Succeeded => RunState::Finished.as_str(),
        JobState::Failed | JobState::DeadLettered => RunState::Failed.as_str(),
        JobState::Cancelled => RunState::Aborted.as_str(),
        _ => "queued",
    }
}

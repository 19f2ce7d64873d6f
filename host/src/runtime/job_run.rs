//! The runs of jobs: what workers ask for.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::{Error, Result, RunResult};
use tokio::sync::oneshot;

use super::api::{Caller, RunOutcome, RunRequest};
use super::driver::Begin;
use super::idempotency;
use super::service::Runtime;
use super::{failure, input, quota};
use crate::store::{AnswerKind, RunState};

/// What a run comes to, once it has.
pub(crate) type Coming = oneshot::Receiver<RunOutcome<RunResult>>;

/// The runs that go on after a restart.
pub(crate) type GoingOn = HashMap<Arc<str>, Coming>;

/// What became of a run.
#[derive(Debug)]
pub(crate) enum RunEnd {
    Finished(Box<RunResult>),
    Failed(Error),
    Aborted,
    /// It waits, and goes on with the next start.
    Parked,
    /// It never began.
    Impossible(Error),
    /// It may not begin before this time: its owner has used up what there is.
    NotYet {
        error: Error,
        until: u64,
    },
    /// Its task was dropped at the end of the server.
    Lost,
}

// === impl Runtime ===

impl Runtime {
    /// Whether a run could begin: its agent is there, and its input and context fit.
    ///
    /// # Errors
    /// `NOT_FOUND` and `VALIDATION_FAILED`, as the run itself would fail.
    pub(crate) fn check(&self, agent: &str, request: &RunRequest) -> RunOutcome<()> {
        let agent = self.agent(agent)?.for_context(request.context.as_ref());
        input::check(&agent, request)
    }

    /// Begins the run of a job, under an id that is known already.
    pub(crate) async fn begin_for_job(
        &self,
        agent: &str,
        mut request: RunRequest,
        caller: Caller,
        run_id: Arc<str>,
    ) -> Result<Coming, RunEnd> {
        let agent = self.agent(agent).map_err(RunEnd::Impossible)?;
        let admitted = self.admit(&caller.principal).await;
        admitted.map_err(|error| match quota::resets_at(&error) {
            Some(until) => RunEnd::NotYet { error, until },
            None => RunEnd::Failed(error),
        })?;
        request.claimed_id = Some(run_id);
        let run = self.new_run(agent, request, caller, AnswerKind::Stream);
        self.enter(&run);
        let (sender, coming) = oneshot::channel();
        self.start(run, Begin::Anew, Some(sender)).await;
        self.engine.job_news.send_replace(());
        Ok(coming)
    }

    /// Remembers whose attempt a run is: who aborts it cancels the job.
    pub(crate) fn remember_job(&self, run_id: &str, job_id: &str) {
        if let Some(run) = self.engine.active.get(run_id) {
            // One run is followed once.
            let _ = run.job.set(job_id.to_owned());
        }
    }

    /// Aborts the run of a job, whoever asks.
    pub(crate) fn abort_for_job(&self, run_id: &str) {
        if let Some(run) = self.engine.active.get(run_id) {
            run.cancel.cancel();
        }
    }

    /// What became of a run before the last restart, `None` where that is not known.
    pub(crate) async fn ended_before(&self, run_id: &str) -> RunOutcome<Option<RunEnd>> {
        let store = &self.engine.store;
        let Some(run) = store.run(run_id).await? else {
            return Ok(None);
        };
        if !matches!(run.state, RunState::Finished | RunState::Failed) {
            return Ok(None);
        }
        let (mut next, mut last) = (0, None);
        loop {
            let batches = store.events(run_id, next, PAGE).await?;
            let Some(batch) = batches.last() else { break };
            next = batch.end();
            last = batches.into_iter().flatten().last();
        }
        Ok(
            last.map(|(_, json)| match idempotency::answer(&json, run_id) {
                Ok(result) => RunEnd::Finished(Box::new(result)),
                Err(error) => RunEnd::Failed(error),
            }),
        )
    }

    /// Jobs were enqueued, began or ended: what waits for that looks again.
    pub(crate) fn job_news(&self) -> &tokio::sync::watch::Sender<()> {
        &self.engine.job_news
    }
}

// === impl RunEnd ===

impl RunEnd {
    /// What came of a run that a worker has followed.
    pub(crate) fn of(came: Result<RunOutcome<RunResult>, oneshot::error::RecvError>) -> Self {
        match came {
            Ok(Ok(result)) => Self::Finished(Box::new(result)),
            Ok(Err(error)) if failure::is_parked(&error) => Self::Parked,
            Ok(Err(error)) if error.code() == Some(Error::ABORTED) => Self::Aborted,
            Ok(Err(error)) => Self::Failed(error),
            Err(_) => Self::Lost,
        }
    }

    /// Its server ended while it was under way.
    pub(crate) fn interrupted() -> Self {
        Self::Failed(failure::interrupted())
    }

    pub(crate) fn is_interrupted(error: &Error) -> bool {
        error.code() == failure::interrupted().code()
    }

    /// Before this time another attempt would fail for the same reason.
    pub(crate) fn not_before(error: &Error) -> u64 {
        quota::resets_at(error).unwrap_or_default()
    }
}

/// How many events are read at once.
const PAGE: u64 = 1024;

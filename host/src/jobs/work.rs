//! Workers: they take up what is due, follow its run, and say what came of it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mortise_plugin_api::{JobEvent, JobRequest, JobState};
use tokio::time::MissedTickBehavior;

use super::outcome::Settling;
use super::{Jobs, STORE_AGAIN, Shared};
use crate::runtime::{Caller, Coming, GoingOn, RunEnd};
use crate::shutdown::Tasks;
use crate::store::{
    JobChange, JobFilter, Lease, LeaseRequest, Leased, StoreError, StoredJob, Whose,
};

/// How soon it is asked again where nobody says that there is something to do.
const IDLE: Duration = Duration::from_mins(1);

/// One of the places for jobs that are being done; free again when it is dropped.
struct Place {
    shared: Arc<Shared>,
    agent: String,
}

// === impl Jobs ===

impl Jobs {
    /// Takes up what the last server left, then whatever is due, until the server stops. `going_on`
    /// are the runs that have outlived the restart.
    pub(crate) async fn start(
        &self,
        going_on: GoingOn,
        observers: &Tasks,
    ) -> Result<(), StoreError> {
        let jobs = self.unrestricted();
        jobs.start_telling(observers);
        jobs.take_up_orphans(going_on).await?;
        let tasks = jobs.shared.tasks.clone();
        tasks.spawn(async move { jobs.work().await });
        Ok(())
    }

    /// Jobs whose worker died with the last server. The store is this server's alone, so that no
    /// lease has to run out.
    async fn take_up_orphans(&self, mut going_on: GoingOn) -> Result<(), StoreError> {
        let running = JobFilter {
            whose: Whose::Everybody,
            agent: None,
            state: Some(JobState::Running),
            is_untold: false,
            before: None,
            limit: u32::MAX,
        };
        let store = &self.shared.store;
        for orphan in store.jobs(running).await? {
            let adopt = JobChange::Adopt(self.shared.lease());
            let Some(stored) = store.change_job(&orphan.job.id, adopt).await? else {
                continue;
            };
            let run_id = stored.job.run.clone().unwrap_or_default();
            let coming = going_on.remove(run_id.as_str());
            tracing::info!(
                job_id = stored.job.id,
                run_id,
                goes_on = coming.is_some(),
                "a job was left by the last server"
            );
            let place = self.shared.place(&stored.job.agent);
            let jobs = self.clone();
            self.shared.tasks.spawn(async move {
                let end = match coming {
                    Some(coming) => jobs.follow(&stored, coming).await,
                    None => Some(jobs.ended_before(&run_id).await),
                };
                jobs.settle(&stored, end, place).await;
            });
        }
        Ok(())
    }

    async fn ended_before(&self, run_id: &str) -> RunEnd {
        match self.runtime.ended_before(run_id).await {
            Ok(Some(end)) => end,
            Ok(None) => RunEnd::interrupted(),
            Err(error) => RunEnd::Failed(error),
        }
    }

    async fn work(&self) {
        let shared = &self.shared;
        let stopping = shared.tasks.stopping();
        while !stopping.is_cancelled() {
            let pause = match self.take_up_next().await {
                Ok(None) => continue,
                Ok(Some(pause)) => pause,
                Err(error) => {
                    tracing::warn!(%error, "no job can be taken up");
                    STORE_AGAIN
                }
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                () = shared.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes up a job, or says how long there will be none.
    async fn take_up_next(&self) -> Result<Option<Duration>, StoreError> {
        let shared = &self.shared;
        let Some(busy) = shared.busy_agents() else {
            return Ok(Some(IDLE));
        };
        let now = shared.clock.now_millis();
        let request = LeaseRequest {
            lease: shared.lease(),
            now,
            run_id: shared.ids.run().into(),
            busy,
        };
        match shared.store.lease_job(request).await? {
            Leased::Nothing { next_at } => {
                let pause = next_at.map(|at| Duration::from_millis(at.saturating_sub(now).max(1)));
                Ok(Some(pause.unwrap_or(IDLE).min(IDLE)))
            }
            Leased::Job(stored) => {
                let place = shared.place(&stored.job.agent);
                let jobs = self.clone();
                shared.tasks.spawn(async move {
                    let end = jobs.attempt(&stored).await;
                    jobs.settle(&stored, end, place).await;
                });
                Ok(None)
            }
        }
    }

    /// Does the job once; `None` where it is no longer this worker's.
    async fn attempt(&self, stored: &StoredJob) -> Option<RunEnd> {
        let shared = &self.shared;
        let job = &stored.job;
        if shared.tasks.stopping().is_cancelled() {
            return Some(RunEnd::Aborted);
        }
        if job.attempt > job.max_attempts {
            // The last attempt began, and its worker died.
            return Some(RunEnd::interrupted());
        }
        let request = match serde_json::from_str::<JobRequest>(&stored.work) {
            Ok(request) => request,
            Err(error) => return Some(RunEnd::Impossible(error.into())),
        };
        tracing::info!(
            job_id = job.id,
            agent = job.agent,
            attempt = job.attempt,
            "a job begins"
        );
        if stored.policy.tells() && shared.pipeline.hears_of_jobs() {
            // Lost to hooks that cannot keep up.
            let _ = shared.beginnings.try_send(JobEvent::of(job.clone()));
        }
        let caller = Caller {
            principal: Arc::new(job.principal.clone()),
            request_id: job.id.as_str().into(),
        };
        let run_id = job.run.as_deref().unwrap_or_default().into();
        let run = request.run.into();
        let begun = self.runtime.begin_for_job(&job.agent, run, caller, run_id);
        match begun.await {
            Ok(coming) => self.follow(stored, coming).await,
            Err(end) => Some(end),
        }
    }

    /// Waits for the run, and keeps the lease; `None` where it is no longer this worker's.
    async fn follow(&self, stored: &StoredJob, mut coming: Coming) -> Option<RunEnd> {
        let shared = &self.shared;
        let run_id = stored.job.run.as_deref().unwrap_or_default();
        self.runtime.remember_job(run_id, &stored.job.id);
        let every = shared.section.lease.0 / 3;
        // The first at once: who has cancelled the job before there was a run found none to abort.
        let mut beat = tokio::time::interval(every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                came = &mut coming => return Some(RunEnd::of(came)),
                _ = beat.tick() => {}
            }
            let longer = JobChange::Extend(shared.lease());
            match shared.store.change_job(&stored.job.id, longer).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.runtime.abort_for_job(run_id);
                    return None;
                }
                Err(error) => tracing::warn!(job_id = stored.job.id, %error, "no heartbeat"),
            }
        }
    }

    /// Stores what came of an attempt, as soon as the store takes it.
    async fn settle(&self, stored: &StoredJob, end: Option<RunEnd>, _place: Place) {
        let shared = &self.shared;
        // One that cannot be read has failed before it began.
        let request: Option<JobRequest> = serde_json::from_str(&stored.work).ok();
        let request = request.as_ref();
        let settling = Settling {
            stored,
            output_schema: request.and_then(|request| request.output_schema.as_ref()),
            backoff: request.map_or(0, |request| request.backoff),
            holder: &shared.life,
            now: shared.clock.now_millis(),
            has_listeners: shared.pipeline.hears_of_jobs(),
            is_stopping: shared.tasks.stopping().is_cancelled(),
        };
        let Some(change) = end.and_then(|end| settling.change(end)) else {
            return;
        };
        let job_id = &stored.job.id;
        loop {
            match shared.store.change_job(job_id, change.clone()).await {
                Ok(Some(changed)) => {
                    let (state, attempt) = (changed.job.state.as_str(), changed.job.attempt);
                    tracing::info!(job_id, state, attempt, "an attempt at a job is over");
                    if changed.job.state.is_end() {
                        self.runtime.metrics().job_ended(&changed.job.agent, state);
                    }
                    self.runtime.job_news().send_replace(());
                    return;
                }
                // Somebody has cancelled it.
                Ok(None) => return,
                Err(error) => tracing::warn!(job_id, %error, "the end of a job is stored later"),
            }
            let pause = tokio::time::sleep(STORE_AGAIN);
            let stopping = shared.tasks.stopping();
            if stopping.run_until_cancelled(pause).await.is_none() {
                return; // The next start sees that it was left.
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    fn lease(&self) -> Lease {
        let length = self.section.lease.0.as_millis();
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        Lease {
            holder: Arc::clone(&self.life),
            until: self.clock.now_millis().saturating_add(length),
        }
    }

    /// The agents that have enough to do; `None` where all together have.
    fn busy_agents(&self) -> Option<Vec<String>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.values().sum::<usize>() >= self.section.concurrency {
            return None;
        }
        let busy = running
            .iter()
            .filter(|(agent, count)| **count >= self.section.limit_of(agent));
        Some(busy.map(|(agent, _)| agent.clone()).collect())
    }

    fn place(self: &Arc<Self>, agent: &str) -> Place {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running.entry(agent.to_owned()).or_default() += 1;
        Place {
            shared: Arc::clone(self),
            agent: agent.to_owned(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let running = &self.shared.running;
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.agent) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.agent);
            }
        }
        self.shared.wake.notify_one();
    }
}

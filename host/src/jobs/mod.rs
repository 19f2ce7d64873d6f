//! Jobs: runs that are accepted now and done later.
//!
//! This file is what routes and plugins ask for; `work.rs` does what is due, `outcome.rs` decides
//! what an attempt comes to, `tell.rs` tells hooks, and `services.rs` is how plugins get here.

mod outcome;
mod services;
mod tell;
mod work;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mortise_plugin_api::{Error, Job, JobEvent, JobQuery, JobRequest, Principal};
use tokio::sync::{Notify, mpsc};

use crate::clock::Clock;
use crate::config;
use crate::ids::Ids;
use crate::pipeline::Pipeline;
use crate::problem;
use crate::runtime::{RunOutcome, Runtime};
use crate::schema::Schema;
use crate::shutdown::Tasks;
use crate::store::{JobFilter, Store, StoredJob, Whose};

/// How soon the store is asked again after it failed.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// How many jobs a list has at most.
const MOST_LISTED: u32 = 1000;
/// How often a job may be tried.
const MOST_ATTEMPTS: u32 = 100;
/// How many beginnings may wait to be told to slow hooks before the next ones are lost to them.
const BEGINNINGS: usize = 1024;

/// The jobs of this server, as far as whoever holds this may reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Jobs {
    runtime: Runtime,
    shared: Arc<Shared>,
}

/// What jobs need of the rest of the server.
pub(crate) struct Needs {
    pub(crate) runtime: Runtime,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) section: config::Jobs,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) tasks: Tasks,
}

struct Shared {
    store: Arc<dyn Store>,
    pipeline: Arc<Pipeline>,
    section: config::Jobs,
    clock: Clock,
    ids: Ids,
    tasks: Tasks,
    /// This life of the server: whose leases these are.
    life: Arc<str>,
    /// How many jobs of each agent are being done.
    running: Mutex<BTreeMap<String, usize>>,
    /// There may be something to do.
    wake: Notify,
    /// Attempts that begin, for hooks.
    beginnings: mpsc::Sender<JobEvent>,
    heard: Mutex<Option<mpsc::Receiver<JobEvent>>>,
}

// === impl Jobs ===

impl Jobs {
    pub(crate) fn new(needs: Needs) -> Self {
        let (beginnings, heard) = mpsc::channel(BEGINNINGS);
        let Needs {
            runtime,
            store,
            pipeline,
            section,
            clock,
            ids,
            tasks,
        } = needs;
        Self {
            runtime,
            shared: Arc::new(Shared {
                store,
                pipeline,
                section,
                clock,
                life: ids.life().into(),
                ids,
                tasks,
                running: Mutex::default(),
                wake: Notify::new(),
                beginnings,
                heard: Mutex::new(Some(heard)),
            }),
        }
    }

    /// The runs that they become.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The same jobs for code that is as trusted as the server: of every agent.
    pub(crate) fn unrestricted(&self) -> Self {
        Self {
            runtime: self.runtime.unrestricted(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Accepts a job: it is stored when this returns. `from` is the instance that asks.
    ///
    /// # Errors
    /// Those of a run that cannot begin; `BAD_REQUEST` for a schema that is none or a number of
    /// attempts that is too large; `UNAVAILABLE` where there is no store, or too many jobs wait.
    pub(crate) async fn enqueue(&self, request: JobRequest, from: Option<&str>) -> RunOutcome<Job> {
        if !(1..=MOST_ATTEMPTS).contains(&request.max_attempts) {
            return Err(
                Error::invalid(format!("A job is tried 1 to {MOST_ATTEMPTS} times."))
                    .with_issue("/maxAttempts", "is a number from 1 to 100"),
            );
        }
        if let Some(schema) = &request.output_schema {
            Schema::compile(schema).map_err(|error| {
                Error::invalid(format!("The output schema is invalid: {error}"))
                    .with_issue("/outputSchema", error.to_string())
            })?;
        }
        if !self.shared.store.keeps_jobs() {
            return Err(Error::unavailable(
                "Jobs cannot be kept: `store.url` is \"none\".",
            ));
        }
        let run = request.run.clone();
        self.runtime.check(&request.run.agent, &run.into())?;

        let stored = self.accepted(&request, from)?;
        let jobs = self.clone();
        // Also when whoever asks goes: somebody has to be told that there is a job.
        self.runtime
            .complete(async move { jobs.store(stored).await })
            .await
    }

    async fn store(&self, stored: StoredJob) -> RunOutcome<Job> {
        let shared = &self.shared;
        let job = stored.job.clone();
        let most = shared.section.max_queued;
        if !shared.store.enqueue_job(stored, most).await? {
            let message = format!("The queue of jobs is full: {most} wait.");
            return Err(Error::unavailable(message).with_context(problem::RETRY_AFTER, 1));
        }
        self.runtime.metrics().job_enqueued(&job.agent);
        shared.wake.notify_one();
        Ok(job)
    }

    /// Brings up to date what is not counted as it happens.
    pub(crate) fn measure(&self) {
        self.runtime.measure();
        let running = &self.shared.running;
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime
            .metrics()
            .set_jobs_running(running.values().sum());
    }

    fn accepted(&self, request: &JobRequest, from: Option<&str>) -> RunOutcome<StoredJob> {
        let shared = &self.shared;
        let now = shared.clock.now_millis();
        let mut job = Job::new(shared.ids.job(), request.run.agent.clone(), now);
        let own = || from.unwrap_or("mortise").to_owned();
        job.service = request.service.clone().unwrap_or_else(own);
        job.name = request.name.clone().unwrap_or_else(|| job.agent.clone());
        job.max_attempts = request.max_attempts;
        job.priority = request.priority;
        job.scheduled_at = now.saturating_add(request.delay.unwrap_or_default());
        job.principal = request.run.principal.clone().unwrap_or_default();
        job.instance = from.map(str::to_owned);
        Ok(StoredJob {
            job,
            policy: request.result_policy,
            is_untold: false,
            lease: None,
            work: serde_json::to_string(request)?.into(),
        })
    }

    /// How a job stands.
    pub(crate) async fn job(&self, id: &str) -> RunOutcome<Option<Job>> {
        let stored = self.shared.store.job(id).await?;
        Ok(stored.map(shown))
    }

    /// The same of one of this principal.
    pub(crate) async fn job_of(&self, id: &str, owner: &Principal) -> RunOutcome<Option<Job>> {
        let job = self.job(id).await?;
        Ok(job.filter(|job| job.principal == *owner))
    }

    /// A page of jobs, the youngest first.
    pub(crate) async fn list(&self, query: JobQuery) -> RunOutcome<Vec<Job>> {
        let filter = JobFilter {
            whose: Whose::of(query.tenant, query.subject),
            agent: query.agent,
            state: query.state,
            is_untold: false,
            before: query.before,
            limit: query.limit.min(MOST_LISTED),
        };
        let stored = self.shared.store.jobs(filter).await?;
        Ok(stored.into_iter().map(shown).collect())
    }

    /// Cancels a job, whoever's it is, and aborts its run; whether it had not ended.
    pub(crate) async fn cancel(&self, id: &str, by: &Arc<Principal>) -> RunOutcome<bool> {
        self.runtime.cancel_job(id, by).await
    }
}

/// As it looks from outside: a result may be for hooks alone.
fn shown(stored: StoredJob) -> Job {
    let mut job = stored.job;
    if !stored.policy.keeps_result() {
        job.result = None;
    }
    job
}

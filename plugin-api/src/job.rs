//! Jobs: runs that are accepted now and done later.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::principal::Principal;
use crate::run_request::RunRequest;
use crate::time::millis;

/// A run to be done later.
///
/// The server stores it before it answers, and does it when a worker is free: also after a restart,
/// where the store is a file.
///
/// ```
/// use std::time::Duration;
/// use mortise_plugin_api::{JobRequest, ResultPolicy, RunRequest};
///
/// let job = JobRequest::new(RunRequest::new("librarian", "count all books"))
///     .with_delay(Duration::from_secs(60))
///     .with_max_attempts(5)
///     .with_result_policy(ResultPolicy::State);
/// assert_eq!(job.backoff, 1000);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct JobRequest {
    /// The run.
    pub run: RunRequest,
    /// Those with more come first, then the oldest.
    #[serde(default)]
    pub priority: i32,
    /// How long it waits at least, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<u64>,
    /// How often it is tried, from 1 to 100.
    #[serde(default = "max_attempts")]
    pub max_attempts: u32,
    /// How long it waits after the first attempt that failed, in milliseconds; after each further
    /// one twice as long, and at most 120 s.
    #[serde(default = "backoff")]
    pub backoff: u64,
    /// Where what comes of it is to be found.
    #[serde(default)]
    pub result_policy: ResultPolicy,
    /// A JSON schema that the output must fit; an attempt whose output does not has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// The first part of the names of its events; the plugin's instance name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The second part of the names of its events; the agent where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Where what comes of a job is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResultPolicy {
    /// In the job; no hook is told.
    State,
    /// In what hooks are told; the job then has no result.
    Event,
    /// In both.
    #[default]
    StateAndEvent,
    /// Nowhere: the job says how it ended, and no more.
    None,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobState {
    /// It waits for its time, for a worker, or for its next attempt.
    Queued,
    /// A worker does it.
    Running,
    /// It went well.
    #[serde(rename = "success")]
    Succeeded,
    /// It cannot be done, and it is of no use to try again.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
    /// Its last attempt failed.
    DeadLettered,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `run:` and its id: stands for the run of its last attempt wherever a run id may stand, and
    /// for a run that has not begun before that.
    pub run_id: String,
    /// How it stands.
    pub state: JobState,
    /// Its agent.
    pub agent: String,
    /// The first part of the names of its events.
    pub service: String,
    /// The second part of the names of its events.
    pub name: String,
    /// How many attempts have begun.
    pub attempt: u32,
    /// How many there are at most.
    pub max_attempts: u32,
    /// Those with more come first.
    pub priority: i32,
    /// When it was accepted, in milliseconds since 1970.
    pub created_at: u64,
    /// Before when it is not begun, or not tried again.
    pub scheduled_at: u64,
    /// When it last changed.
    pub updated_at: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// What came of it: the output of its run, a JSON value where its agent or the job has an
    /// output schema, else a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why its last attempt failed, or why it was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Whose it is.
    pub principal: Principal,
    /// Who enqueued it: the instance name of a plugin, absent for the server's own route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The run of its last attempt, absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// A code in upper case, such as `UPSTREAM_FAILED`.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// Which jobs are wanted; of everybody and of all agents, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobQuery {
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Of this subject of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// After this one in the list: the last of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How many: 100 unless it says otherwise, at most 1000.
    pub limit: u32,
}

/// The latest hundred.
impl Default for JobQuery {
    fn default() -> Self {
        Self {
            tenant: None,
            subject: None,
            agent: None,
            state: None,
            before: None,
            limit: 100,
        }
    }
}

/// What hooks are told of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct JobEvent {
    /// `<jobId>:<status>`. An end is told again where the server crashed before it knew that
    /// everybody was told: those with an id that is known may be passed over.
    pub id: String,
    /// `<service>.<agent>.completed` for one that went well, `….failed` for one that ended
    /// otherwise, `….progress` when an attempt begins.
    pub name: String,
    /// The job as it stands, with its result unless nobody is to know it.
    pub job: Job,
}

// === impl JobRequest ===

fn max_attempts() -> u32 {
    3
}

fn backoff() -> u64 {
    1000
}

impl JobRequest {
    /// A job that is done at once if a worker is free, and tried three times at most.
    pub fn new(run: RunRequest) -> Self {
        Self {
            run,
            priority: 0,
            delay: None,
            max_attempts: max_attempts(),
            backoff: backoff(),
            result_policy: ResultPolicy::default(),
            output_schema: None,
            service: None,
            name: None,
        }
    }

    /// Those with more come first, then the oldest.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How long it waits at least.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = Some(millis(delay));
        self
    }

    /// How often it is tried.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long it waits after the first attempt that failed.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Duration) -> Self {
        self.backoff = millis(backoff);
        self
    }

    /// Where what comes of it is to be found.
    #[must_use]
    pub fn with_result_policy(mut self, policy: ResultPolicy) -> Self {
        self.result_policy = policy;
        self
    }

    /// A JSON schema that the output must fit.
    #[must_use]
    pub fn with_output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// The names of its events: `<service>.<name>.completed` and so on.
    #[must_use]
    pub fn with_event_name(mut self, service: impl Into<String>, name: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self.name = Some(name.into());
        self
    }
}

// === impl ResultPolicy ===

impl ResultPolicy {
    /// Whether the job has the result.
    pub fn keeps_result(self) -> bool {
        matches!(self, Self::State | Self::StateAndEvent)
    }

    /// Whether hooks are told.
    pub fn tells(self) -> bool {
        matches!(self, Self::Event | Self::StateAndEvent)
    }
}

// === impl JobState ===

impl JobState {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::DeadLettered => "dead-lettered",
        }
    }

    /// Whether it stays so.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Job ===

impl Job {
    /// A job that is queued now and may be done at once.
    pub fn new(id: impl Into<String>, agent: impl Into<String>, now: u64) -> Self {
        let (id, agent) = (id.into(), agent.into());
        Self {
            run_id: format!("run:{id}"),
            id,
            state: JobState::Queued,
            name: agent.clone(),
            agent,
            service: String::new(),
            attempt: 0,
            max_attempts: max_attempts(),
            priority: 0,
            created_at: now,
            scheduled_at: now,
            updated_at: now,
            completed_at: None,
            result: None,
            error: None,
            principal: Principal::default(),
            instance: None,
            run: None,
        }
    }
}

// === impl JobEvent ===

impl JobEvent {
    /// What hooks are told of a job that stands so.
    pub fn of(job: Job) -> Self {
        let what = match job.state {
            JobState::Queued | JobState::Running => "progress",
            JobState::Succeeded => "completed",
            JobState::Failed | JobState::Cancelled | JobState::DeadLettered => "failed",
        };
        Self {
            id: format!("{}:{}", job.id, job.state),
            name: format!("{}.{}.{what}", job.service, job.name),
            job,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_needs_no_more_than_its_run() {
        let request: JobRequest =
            serde_json::from_value(json!({ "run": { "agent": "a", "input": "hi" } })).unwrap();
        assert_eq!(request, JobRequest::new(RunRequest::new("a", "hi")));
    }

    #[test]
    fn what_is_written_of_a_state_is_its_name() {
        for state in [
            JobState::Queued,
            JobState::Running,
            JobState::Succeeded,
            JobState::Failed,
            JobState::Cancelled,
            JobState::DeadLettered,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn an_event_is_named_for_service_agent_and_end() {
        let mut job = Job::new("job_1", "triage", 0);
        job.service = "support".into();
        let named = |state| {
            let event = JobEvent::of(Job {
                state,
                ..job.clone()
            });
            (event.id, event.name)
        };
        let event = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        assert_eq!(
            named(JobState::Succeeded),
            event("job_1:success", "support.triage.completed")
        );
        assert_eq!(
            named(JobState::DeadLettered),
            event("job_1:dead-lettered", "support.triage.failed")
        );
        assert_eq!(
            named(JobState::Running),
            event("job_1:running", "support.triage.progress")
        );
    }
}

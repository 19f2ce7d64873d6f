//! Jobs: what is stored of one, and how it may change, whichever store it is.

use std::sync::Arc;

use mortise_plugin_api::{Job, JobError, JobState, ResultPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Whose;

/// What is stored of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredJob {
    /// As it looks from outside, with a result that nobody may be shown.
    pub(crate) job: Job,
    pub(crate) policy: ResultPolicy,
    /// Whether hooks are still to be told of its end.
    pub(crate) is_untold: bool,
    pub(crate) lease: Option<Lease>,
    /// What is to be done, as JSON that only the workers read.
    #[serde(skip, default = "nothing")]
    pub(crate) work: Arc<str>,
}

/// Who does a job, and until when it is theirs unless they say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// One life of one server.
    pub(crate) holder: Arc<str>,
    pub(crate) until: u64,
}

/// Who wants a job that is due.
#[derive(Debug, Clone)]
pub(crate) struct LeaseRequest {
    pub(crate) lease: Lease,
    pub(crate) now: u64,
    /// The id of the run that does it.
    pub(crate) run_id: Arc<str>,
    /// Agents that have enough to do.
    pub(crate) busy: Vec<String>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Leased {
    Job(Box<StoredJob>),
    /// Nothing is due; this is when something will be, if it is known.
    Nothing {
        next_at: Option<u64>,
    },
}

/// How a job changes; one that does not stand so that it may stays as it is.
#[derive(Debug, Clone)]
pub(crate) enum JobChange {
    /// The lease of its holder is longer.
    Extend(Lease),
    /// The run of a holder that is dead goes on with this one.
    Adopt(Lease),
    /// The holder has an end for it.
    End { holder: Arc<str>, end: JobEnd },
    /// The attempt failed, and there is another one.
    Retry {
        holder: Arc<str>,
        now: u64,
        scheduled_at: u64,
        error: JobError,
    },
    /// The holder could not do it, and why, where its owner is to know; that is no attempt.
    GiveBack {
        holder: Arc<str>,
        now: u64,
        scheduled_at: u64,
        error: Option<JobError>,
    },
    /// Whoever does it, somebody does not want it any more.
    Cancel(JobEnd),
    /// Hooks were told of its end.
    Told,
}

/// How a job ends.
#[derive(Debug, Clone)]
pub(crate) struct JobEnd {
    pub(crate) state: JobState,
    pub(crate) now: u64,
    pub(crate) result: Option<Value>,
    pub(crate) error: Option<JobError>,
    /// Whether there is any hook that wants to be told.
    pub(crate) has_listeners: bool,
}

/// Which jobs are wanted, the youngest first.
#[derive(Debug, Clone)]
pub(crate) struct JobFilter {
    pub(crate) whose: Whose,
    pub(crate) agent: Option<String>,
    pub(crate) state: Option<JobState>,
    /// Only those of whose end hooks are still to be told, then the oldest first.
    pub(crate) is_untold: bool,
    /// Only those that come after this one in the list: the last of the page before.
    pub(crate) before: Option<String>,
    pub(crate) limit: u32,
}

fn nothing() -> Arc<str> {
    "".into()
}

// === impl StoredJob ===

impl StoredJob {
    /// Takes it up: a job that is due, or one whose holder did not come back in time.
    pub(crate) fn take_up(&mut self, request: &LeaseRequest) {
        self.job.state = JobState::Running;
        self.job.attempt += 1;
        self.job.updated_at = request.now;
        self.job.run = Some(request.run_id.to_string());
        self.lease = Some(request.lease.clone());
    }

    /// When it can be taken up by this holder, if it can at all.
    pub(crate) fn due_at(&self, holder: &str) -> Option<u64> {
        match self.job.state {
            JobState::Queued => Some(self.job.scheduled_at),
            JobState::Running => {
                let others = self.lease.as_ref().filter(|lease| &*lease.holder != holder);
                others.map(|lease| lease.until.saturating_add(1))
            }
            _ => None,
        }
    }

    /// Whether it may change so; then it has.
    pub(crate) fn change(&mut self, change: JobChange) -> bool {
        let is_running = self.job.state == JobState::Running;
        let holder = self.lease.as_ref().map(|lease| Arc::clone(&lease.holder));
        let is_held_by = |other: &Arc<str>| is_running && holder.as_ref() == Some(other);
        match change {
            JobChange::Extend(lease) if is_held_by(&lease.holder) => self.lease = Some(lease),
            JobChange::Adopt(lease) if is_running => self.lease = Some(lease),
            JobChange::End { holder, end } if is_held_by(&holder) => self.end(end),
            JobChange::Cancel(end) if !self.job.state.is_end() => self.end(end),
            JobChange::Retry {
                holder,
                now,
                scheduled_at,
                error,
            } if is_held_by(&holder) => {
                self.queue(now, scheduled_at);
                self.job.error = Some(error);
            }
            JobChange::GiveBack {
                holder,
                now,
                scheduled_at,
                error,
            } if is_held_by(&holder) => {
                self.queue(now, scheduled_at);
                self.job.attempt = self.job.attempt.saturating_sub(1);
                self.job.run = None;
                self.job.error = error.or(self.job.error.take());
            }
            JobChange::Told if self.is_untold => {
                self.is_untold = false;
                self.forget_result();
            }
            _ => return false,
        }
        true
    }

    fn queue(&mut self, now: u64, scheduled_at: u64) {
        self.job.state = JobState::Queued;
        self.job.updated_at = now;
        self.job.scheduled_at = scheduled_at;
        self.lease = None;
    }

    fn end(&mut self, end: JobEnd) {
        let job = &mut self.job;
        job.state = end.state;
        // One that ends because its last worker died was taken up once more.
        job.attempt = job.attempt.min(job.max_attempts);
        job.updated_at = end.now;
        job.completed_at = Some(end.now);
        job.result = end.result;
        job.error = end.error;
        self.lease = None;
        self.is_untold = end.has_listeners && self.policy.tells();
        if !self.is_untold {
            self.forget_result();
        }
    }

    fn forget_result(&mut self) {
        if !self.policy.keeps_result() {
            self.job.result = None;
        }
    }
}

// === impl JobFilter ===

impl JobFilter {
    pub(crate) fn wants(&self, stored: &StoredJob) -> bool {
        let job = &stored.job;
        self.whose.includes(&job.principal)
            && self.agent.as_ref().is_none_or(|agent| *agent == job.agent)
            && self.state.is_none_or(|state| state == job.state)
            && (stored.is_untold || !self.is_untold)
            && self.before.as_ref().is_none_or(|before| job.id < *before)
    }
}

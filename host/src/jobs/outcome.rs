//! What an attempt comes to: an end, another attempt, or nothing yet.

use std::sync::Arc;

use mortise_plugin_api::{Error, JobError, JobState, RunResult};
use serde_json::Value;

use crate::runtime::RunEnd;
use crate::schema::Schema;
use crate::store::{JobChange, JobEnd, StoredJob};

/// The longest wait between two attempts, in milliseconds.
const LONGEST_BACKOFF: u64 = 120_000;

/// What is known when an attempt is over.
pub(super) struct Settling<'a> {
    pub(super) stored: &'a StoredJob,
    /// What its output must fit.
    pub(super) output_schema: Option<&'a Value>,
    /// How long it waits after the first failure, in milliseconds.
    pub(super) backoff: u64,
    pub(super) holder: &'a Arc<str>,
    pub(super) now: u64,
    pub(super) has_listeners: bool,
    /// The server stops: what it aborts is nobody's failure.
    pub(super) is_stopping: bool,
}

// === impl Settling ===

impl Settling<'_> {
    /// How the job changes; `None` where its run goes on with the next start.
    pub(super) fn change(&self, end: RunEnd) -> Option<JobChange> {
        Some(match end {
            RunEnd::Parked => return None,
            RunEnd::Aborted | RunEnd::Lost if self.is_stopping => self.give_back(self.now, None),
            RunEnd::NotYet { error, until } => self.give_back(until, Some(&error)),
            RunEnd::Finished(result) => match self.output(*result) {
                Ok(value) => self.end(JobState::Succeeded, Some(value), None),
                Err(error) => self.failed(&error),
            },
            RunEnd::Aborted => {
                let error = Error::aborted("The run of the job was aborted.");
                self.end(JobState::Cancelled, None, Some(&error))
            }
            RunEnd::Impossible(error) => self.end(JobState::Failed, None, Some(&error)),
            RunEnd::Failed(error) => self.failed(&error),
            RunEnd::Lost => self.failed(&Error::internal("the run's task was lost")),
        })
    }

    /// What the job asked for: a value where there is a schema, else a text.
    fn output(&self, result: RunResult) -> Result<Value, Error> {
        let text = result.response.text_content();
        let Some(schema) = self.output_schema else {
            return Ok(result.structured.unwrap_or_else(|| text.into()));
        };
        let schema = Schema::compile(schema).map_err(|error| {
            Error::invalid(format!("The output schema of the job is invalid: {error}"))
        })?;
        let checked = match result.structured {
            Some(value) => schema.validate(&value).map(|()| value),
            // An agent without structured output may still say a value, or a text that fits.
            None => schema.read(text),
        };
        checked.map_err(|issues| {
            let first = issues.first().map(|issue| {
                let place = Some(issue.instance_path.as_str()).filter(|it| !it.is_empty());
                format!("{} {}", place.unwrap_or("/"), issue.message)
            });
            Error::invalid(format!(
                "The output does not fit the output schema of the job: {}",
                first.unwrap_or_default()
            ))
        })
    }

    fn failed(&self, error: &Error) -> JobChange {
        let job = &self.stored.job;
        if job.attempt >= job.max_attempts {
            return self.end(JobState::DeadLettered, None, Some(error));
        }
        let backoff = if RunEnd::is_interrupted(error) {
            0 // The job is not to blame.
        } else {
            backoff(self.backoff, job.attempt)
        };
        JobChange::Retry {
            holder: Arc::clone(self.holder),
            now: self.now,
            scheduled_at: self
                .now
                .saturating_add(backoff)
                .max(RunEnd::not_before(error)),
            error: shown(error),
        }
    }

    fn give_back(&self, scheduled_at: u64, error: Option<&Error>) -> JobChange {
        JobChange::GiveBack {
            holder: Arc::clone(self.holder),
            now: self.now,
            scheduled_at,
            error: error.map(shown),
        }
    }

    fn end(&self, state: JobState, result: Option<Value>, error: Option<&Error>) -> JobChange {
        JobChange::End {
            holder: Arc::clone(self.holder),
            end: JobEnd {
                state,
                now: self.now,
                result,
                error: error.map(shown),
                has_listeners: self.has_listeners,
            },
        }
    }
}

/// How long to wait after this many attempts have failed.
fn backoff(first: u64, attempts: u32) -> u64 {
    let doubled = attempts.saturating_sub(1).min(32);
    first.saturating_mul(1 << doubled).min(LONGEST_BACKOFF)
}

/// An error as its owner reads it.
fn shown(error: &Error) -> JobError {
    let error = error.for_clients();
    let message = error.message();
    JobError {
        code: error.public_code().to_owned(),
        message: message
            .strip_prefix("Run failed: ")
            .unwrap_or(message)
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::{Item, Job, JobRequest, ModelResponse, ResultPolicy, RunRequest};
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1000;

    /// How a job changes whose attempt ends so, at its first attempt of two.
    fn change_of(request: &JobRequest, attempt: u32, end: RunEnd) -> Option<JobChange> {
        let mut job = Job::new("job_1", "plain", 0);
        job.attempt = attempt;
        job.max_attempts = 2;
        let stored = StoredJob {
            job,
            policy: ResultPolicy::default(),
            is_untold: false,
            lease: None,
            work: "".into(),
        };
        Settling {
            stored: &stored,
            output_schema: request.output_schema.as_ref(),
            backoff: request.backoff,
            holder: &"me".into(),
            now: NOW,
            has_listeners: false,
            is_stopping: false,
        }
        .change(end)
    }

    fn request() -> JobRequest {
        JobRequest::new(RunRequest::new("plain", "hi"))
    }

    fn said(text: &str) -> RunEnd {
        let response = ModelResponse {
            output: vec![Item::assistant(text)],
            ..ModelResponse::default()
        };
        RunEnd::Finished(Box::new(RunResult {
            response,
            ..RunResult::default()
        }))
    }

    fn result_of(change: Option<JobChange>) -> Result<Value, JobError> {
        match change {
            Some(JobChange::End { end, .. }) => Ok(end.result.unwrap()),
            Some(JobChange::Retry { error, .. }) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_wait_doubles_and_has_a_limit() {
        let waits: Vec<u64> = (1..=9).map(|attempts| backoff(1000, attempts)).collect();
        assert_eq!(waits[..4], [1000, 2000, 4000, 8000]);
        assert_eq!(waits[8], LONGEST_BACKOFF);
        assert_eq!(backoff(u64::MAX, u32::MAX), LONGEST_BACKOFF);
        assert_eq!(backoff(0, 5), 0);
    }

    #[test]
    fn what_is_said_is_the_result_as_a_text_or_as_the_value_that_was_asked_for() {
        assert_eq!(
            result_of(change_of(&request(), 1, said("7"))).unwrap(),
            json!("7")
        );
        let number = request().with_output_schema(json!({ "type": "integer" }));
        assert_eq!(
            result_of(change_of(&number, 1, said("7"))).unwrap(),
            json!(7)
        );
        let unfit = result_of(change_of(&number, 1, said("seven"))).unwrap_err();
        assert_eq!(unfit.code, "VALIDATION_FAILED");
        assert!(
            unfit.message.ends_with("/ must be integer"),
            "{}",
            unfit.message
        );
        let text = request().with_output_schema(json!({ "type": "string" }));
        for words in ["seven", "7", "{}"] {
            let result = result_of(change_of(&text, 1, said(words))).unwrap();
            assert_eq!(result, json!(words));
        }
    }

    #[test]
    fn a_failure_waits_an_interruption_does_not_and_the_last_is_a_dead_letter() {
        let upstream = || RunEnd::Failed(Error::upstream("no"));
        let later = |end, at: u64| {
            let change = change_of(&request(), 1, end);
            let Some(JobChange::Retry { scheduled_at, .. }) = change else {
                panic!("{change:?}");
            };
            assert_eq!(scheduled_at, at);
        };
        later(upstream(), NOW + 1000);
        later(RunEnd::interrupted(), NOW);
        let used_up = || {
            let error = Error::new("RATE_LIMITED", "no tokens are left today");
            error.with_context("resetAt", "1970-01-02T00:00:00.000Z")
        };
        later(RunEnd::Failed(used_up()), 86_400_000);
        for (end, state) in [
            (upstream(), JobState::DeadLettered),
            (RunEnd::interrupted(), JobState::DeadLettered),
            (RunEnd::Aborted, JobState::Cancelled),
            (
                RunEnd::Impossible(Error::not_found("gone")),
                JobState::Failed,
            ),
        ] {
            let Some(JobChange::End { end, .. }) = change_of(&request(), 2, end) else {
                panic!("no end");
            };
            assert_eq!(end.state, state);
            assert!(end.error.is_some());
        }
        assert!(change_of(&request(), 1, RunEnd::Parked).is_none());
    }

    #[test]
    fn what_may_not_begin_yet_is_no_attempt() {
        let not_yet = RunEnd::NotYet {
            error: Error::new("RATE_LIMITED", "no runs are left today"),
            until: NOW + 5,
        };
        let change = change_of(&request(), 2, not_yet);
        let Some(JobChange::GiveBack {
            scheduled_at,
            error: Some(error),
            ..
        }) = change
        else {
            panic!("{change:?}");
        };
        assert_eq!((scheduled_at, &*error.code), (NOW + 5, "RATE_LIMITED"));
    }

    #[test]
    fn nobody_reads_why_something_inside_failed() {
        let error = shown(&Error::internal("the password is 1234"));
        assert_eq!(
            (&*error.code, &*error.message),
            ("INTERNAL", "Server request failed.")
        );
    }
}

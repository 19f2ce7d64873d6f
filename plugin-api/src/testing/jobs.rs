//! The jobs that the fake host keeps; nobody does them.

use serde_json::{Value, json};

use super::host::FakeHost;
use crate::error::{Error, Result};
use crate::job::{Job, JobEvent, JobQuery, JobRequest, JobState};

/// The jobs that were enqueued, the oldest first.
#[derive(Default)]
pub(super) struct Jobs(Vec<Job>);

impl FakeHost {
    /// The jobs that were enqueued, the oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        self.known().jobs.0.clone()
    }

    /// Lets a job stand so, with this result: the fake host does none. Returns what a hook would be
    /// told, for [`LoadedHook::on_job`](super::LoadedHook::on_job).
    ///
    /// # Panics
    /// When there is no such job.
    pub fn settle_job(&self, id: &str, state: JobState, result: Value) -> JobEvent {
        let now = self.shared.now_millis();
        let mut known = self.known();
        let job = known.jobs.find(id);
        let job = job.unwrap_or_else(|| panic!("no job '{id}' was enqueued"));
        job.state = state;
        job.attempt = job.attempt.max(1);
        job.updated_at = now;
        job.completed_at = state.is_end().then_some(now);
        job.result = (!result.is_null()).then_some(result);
        JobEvent::of(job.clone())
    }
}

impl Jobs {
    /// `None` for what is no service of jobs.
    pub(super) fn serve(
        &mut self,
        instance: &str,
        service: &str,
        payload: &Value,
        now: u64,
    ) -> Option<Result<Value>> {
        let id = payload["jobId"].as_str().unwrap_or_default();
        Some(match service {
            "jobs.enqueue" => self.enqueue(instance, payload, now),
            "jobs.get" => Ok(json!(self.find(id))),
            "jobs.list" => self.list(payload),
            "jobs.cancel" => Ok(self.cancel(id, now).into()),
            _ => return None,
        })
    }

    fn enqueue(&mut self, instance: &str, payload: &Value, now: u64) -> Result<Value> {
        let request: JobRequest = serde_json::from_value(payload.clone())
            .map_err(|error| Error::bad_request(error.to_string()))?;
        let id = format!("job_{}", self.0.len() + 1);
        let mut job = Job::new(id, request.run.agent, now);
        job.service = request.service.unwrap_or_else(|| instance.to_owned());
        job.name = request.name.unwrap_or_else(|| job.agent.clone());
        job.max_attempts = request.max_attempts;
        job.priority = request.priority;
        job.scheduled_at = now.saturating_add(request.delay.unwrap_or_default());
        job.principal = request.run.principal.unwrap_or_default();
        job.instance = Some(instance.to_owned());
        self.0.push(job.clone());
        Ok(serde_json::to_value(job)?)
    }

    fn list(&self, payload: &Value) -> Result<Value> {
        let query: JobQuery = serde_json::from_value(payload.clone())?;
        let same =
            |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|it| it == own);
        let wanted = self.0.iter().rev().filter(|job| {
            same(&query.tenant, &job.principal.tenant)
                && same(&query.subject, &job.principal.subject)
                && same(&query.agent, &job.agent)
                && query.state.is_none_or(|state| job.state == state)
        });
        let page: Vec<&Job> = match &query.before {
            Some(before) => wanted.skip_while(|job| job.id != *before).skip(1).collect(),
            None => wanted.collect(),
        };
        Ok(json!(page[..page.len().min(query.limit as usize)]))
    }

    fn cancel(&mut self, id: &str, now: u64) -> bool {
        let Some(job) = self.find(id).filter(|job| !job.state.is_end()) else {
            return false;
        };
        job.state = JobState::Cancelled;
        job.updated_at = now;
        job.completed_at = Some(now);
        true
    }

    fn find(&mut self, id: &str) -> Option<&mut Job> {
        self.0.iter_mut().find(|job| job.id == id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run_request::RunRequest;

    #[tokio::test]
    async fn a_job_is_queued_listed_cancelled_and_settled() {
        let fake = FakeHost::new("clerk");
        let host = fake.host();
        let request = JobRequest::new(RunRequest::new("echo", "hi"));
        let job = host.enqueue_job(&request).await.unwrap();
        assert_eq!((&*job.run_id, &*job.service), ("run:job_1", "clerk"));
        let all = host.jobs(&JobQuery::default()).await.unwrap();
        assert_eq!(all, fake.jobs());
        let none = JobQuery {
            limit: 0,
            ..JobQuery::default()
        };
        assert_eq!(host.jobs(&none).await.unwrap(), []);

        let told = fake.settle_job("job_1", JobState::Succeeded, json!("hi"));
        assert_eq!(told.name, "clerk.echo.completed");
        let known = host.job("job_1").await.unwrap().unwrap();
        assert_eq!(known.result, Some(json!("hi")));
        assert!(!host.cancel_job("job_1").await.unwrap());
        assert_eq!(host.job("job_2").await.unwrap(), None);
    }
}

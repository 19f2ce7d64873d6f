//! Runs that are accepted now and done later, and how they stand.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Job, JobRequest};

use crate::config::JOB_ID;
use crate::exposure::Exposure;
use crate::problem;

/// Enqueues the run that a client asked for, and answers with a handle.
pub(crate) async fn accept(
    exposure: &Exposure,
    asked: &Request,
    run: RunRequest,
) -> Result<Response> {
    let (config, exposed) = (&exposure.config, exposure.exposed());
    let mut request = JobRequest::new(run)
        .with_priority(exposed.priority.unwrap_or_default())
        .with_result_policy(exposed.result_policy.unwrap_or_default())
        .with_event_name(&config.service, exposed.name());
    if let Some(attempts) = exposed.max_attempts {
        request = request.with_max_attempts(attempts);
    }
    request.output_schema = exposed.output.as_ref().map(|it| it.source().clone());
    let job = exposure.host.enqueue_job(&request).await?;
    let path = exposed.status_path().filled_in(|name| match name {
        JOB_ID => &job.id,
        name => asked.param(name).unwrap_or_default(),
    });
    let prefix = (!config.bare).then(|| config.prefix());
    let url = prefix.unwrap_or_default() + &path;
    let (service, version) = (&config.service, config.version);
    let queue = format!("agent:{service}:{version}:{}", exposed.name());
    let handle = json!({
        "jobId": job.id, "runId": job.run_id, "status": job.state, "statusUrl": url,
        "queue": queue, "queueName": queue, "scheduledAt": job.scheduled_at,
    });
    Ok(Response::json(&handle)?
        .with_status(202)
        .with_header("location", url))
}

pub(crate) async fn show(exposure: Arc<Exposure>, call: EndpointCall) -> Result<Response> {
    let job = find(&exposure, &call).await?;
    let mut shown = json!({
        "jobId": job.id, "runId": job.run_id, "status": job.state, "attempt": job.attempt,
        "createdAt": job.created_at, "updatedAt": job.updated_at,
        "completedAt": job.completed_at, "result": job.result,
    });
    if let Some(error) = job.error {
        let is_handled = problem::is_handled(&error.code);
        let message = if is_handled {
            &error.message
        } else {
            problem::MASKED
        };
        shown["error"] = json!({ "code": error.code, "message": message });
    }
    if let Some(members) = shown.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    Response::json(&shown)
}

pub(crate) async fn cancel(exposure: Arc<Exposure>, call: EndpointCall) -> Result<Response> {
    let job = find(&exposure, &call).await?;
    let by = call.principal();
    if exposure.host.cancel_job_for(&job.id, &by).await? {
        return Ok(Response::new(204));
    }
    let message = format!("The job '{}' has ended.", job.id);
    Err(Error::new("CONFLICT", message))
}

/// The job of a path, if it is one of those that this path is for, and the caller may see it.
async fn find(exposure: &Exposure, call: &EndpointCall) -> Result<Job> {
    let (host, config, id) = (&exposure.host, &exposure.config, call.param(JOB_ID));
    let (path, caller) = (exposure.exposed().status_path(), call.principal());
    let is_here = |job: &Job| {
        let mut exposed = config.endpoints.iter();
        job.instance.as_deref() == Some(host.instance())
            && exposed.any(|it| {
                let is_public = exposure.exposed().public;
                it.name() == job.name && it.status_path() == path && it.public == is_public
            })
    };
    let job = host.job(id).await?;
    job.filter(|job| is_here(job) && config.visibility.lets(&caller, &job.principal))
        .ok_or_else(|| Error::not_found(format!("There is no job '{id}'.")))
}

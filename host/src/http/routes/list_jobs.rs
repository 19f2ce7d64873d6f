//! `GET /-/jobs`: the jobs of whoever asks, the youngest first, page by page.

use axum::response::Response;
use mortise_plugin_api::{JobQuery, JobState};
use serde_json::Value;

use super::page;
use crate::http::error::Failure;
use crate::http::escapes;
use crate::http::router::Call;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let principal = call.principal();
    let query = JobQuery {
        tenant: Some(principal.tenant.clone()),
        subject: Some(principal.subject.clone()),
        ..job_query(call.request.uri.query())?
    };
    let limit = query.limit;
    let jobs = call.state.jobs.list(query).await?;
    Ok(page::answer("jobs", &jobs, limit, |job| &job.id))
}

fn job_query(query: Option<&str>) -> Result<JobQuery, Failure> {
    let param = |name| escapes::query_param(query, name);
    let text = |name| param(name).filter(|value| !value.is_empty());
    let state = match param("state") {
        None => None,
        Some(name) => match serde_json::from_value::<JobState>(Value::String(name)) {
            Ok(state) => Some(state),
            Err(_) => {
                return Err(Failure::invalid_at(
                    "/state",
                    "state is queued, running, success, failed, cancelled or dead-lettered.",
                ));
            }
        },
    };
    Ok(JobQuery {
        agent: text("agent"),
        state,
        before: text("before"),
        limit: page::size(param("limit"))?,
        ..JobQuery::default()
    })
}

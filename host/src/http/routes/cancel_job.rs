//! `DELETE /-/jobs/:jobId`: cancels a job that has not ended.

use axum::response::Response;

use super::no_content;
use crate::http::error::Failure;
use crate::http::router::Call;
use crate::runtime::conflict;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let (jobs, principal) = (&call.state.jobs, call.principal());
    let Some(job) = jobs.job_of(call.param("jobId"), &principal).await? else {
        // The same for a job of somebody else.
        return Err(Failure::not_found("Job not found."));
    };
    if jobs.cancel(&job.id, &principal).await? {
        Ok(no_content())
    } else {
        Err(conflict("The job has ended.").into())
    }
}

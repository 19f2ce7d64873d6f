//! `GET /-/jobs/:jobId`: how a job stands.

use axum::response::Response;
use http::StatusCode;

use crate::http::error::{Failure, json_response};
use crate::http::router::Call;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let jobs = &call.state.jobs;
    match jobs.job_of(call.param("jobId"), &call.principal()).await? {
        Some(job) => Ok(json_response(StatusCode::OK, &job)),
        // The same for a job of somebody else.
        None => Err(Failure::not_found("Job not found.")),
    }
}

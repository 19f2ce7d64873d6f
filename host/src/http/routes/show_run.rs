//! `GET /-/runs/:runId`: how a run stands.

use axum::response::Response;
use http::StatusCode;

use crate::http::error::{Failure, json_response};
use crate::http::router::Call;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let run_id = &*call.run_id();
    let runtime = &call.state.runtime;
    match runtime.run_summary(run_id, &call.principal()).await? {
        Some(run) => Ok(json_response(StatusCode::OK, &run)),
        // The same for a run of somebody else.
        None => Err(Failure::not_found("Run not found.")),
    }
}

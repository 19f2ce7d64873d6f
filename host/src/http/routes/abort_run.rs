//! `POST /:name/runs/:runId/abort`: ends a run.
//!
//! The answer does not say whether there was one, so that nobody can ask for the runs of others.

use axum::response::Response;

use super::no_content;
use crate::http::error::Failure;
use crate::http::router::Call;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let run_id = &*call.run_id();
    let runtime = &call.state.runtime;
    let was_running = runtime.abort(run_id, &call.principal()).await?;
    tracing::debug!(run_id, was_running, "abort");
    Ok(no_content())
}

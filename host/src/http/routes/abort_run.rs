//! `POST /:name/runs/:runId/abort`: ends a run.
//!
//! The answer does not say whether there was one, so that nobody can ask for the runs of others.

use axum::response::Response;

use super::no_content;
use crate::http::router::Call;

pub(in crate::http) fn answer(call: &Call<'_>) -> Response {
    let run_id = call.param("runId");
    let was_running = call.state.runtime.abort(run_id, &call.principal());
    tracing::debug!(run_id, was_running, "abort");
    no_content()
}

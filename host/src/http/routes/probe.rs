//! `GET /livez` and `/readyz`: for whoever watches the server.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::error::json_response;
use crate::http::state::HttpState;

pub(in crate::http) fn answer(state: &HttpState, path: &str) -> Response {
    if path == "/readyz" && state.tasks.stopping().is_cancelled() {
        return json_response(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "status": "stopping" }),
        );
    }
    if path == "/readyz"
        && let Some(failure) = state.runtime.store_failure()
    {
        // What exactly is wrong is for the log.
        tracing::debug!(%failure, "not ready");
        return json_response(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "status": "store" }),
        );
    }
    json_response(StatusCode::OK, &json!({ "status": "ok" }))
}

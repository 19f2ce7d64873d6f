//! `GET /-/agents`: the agents that may be run.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::error::json_response;
use crate::http::router::Call;

pub(in crate::http) fn answer(call: &Call<'_>) -> Response {
    let agents = call.state.runtime.agents();
    json_response(StatusCode::OK, &json!({ "agents": agents }))
}

//! `GET /-/approvals`: the tool calls that wait for a decision which whoever asks may see.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::error::{Failure, json_response};
use crate::http::escapes;
use crate::http::router::Call;

pub(in crate::http) fn answer(call: &Call<'_>) -> Result<Response, Failure> {
    let state = escapes::query_param(call.request.uri.query(), "state");
    if state.is_some_and(|state| state != "pending") {
        return Err(Failure::invalid_at(
            "/state",
            "state is pending: what was decided stands in the events of its run.",
        ));
    }
    let approvals = call.state.runtime.pending_approvals(&call.principal());
    Ok(json_response(
        StatusCode::OK,
        &json!({ "approvals": approvals }),
    ))
}

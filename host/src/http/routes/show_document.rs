//! `GET /openapi.json`: what this server serves, as an OpenAPI document.

use axum::response::Response;
use http::StatusCode;

use crate::http::error::{Failure, json_response};
use crate::http::state::HttpState;

pub(in crate::http) fn answer(state: &HttpState) -> Result<Response, Failure> {
    let document = state.document.as_ref().ok_or_else(Failure::no_route)?;
    let runtime = &state.runtime;
    let shown = document.show(&runtime.agents(), &runtime.tool_endpoints());
    Ok(json_response(StatusCode::OK, &shown))
}

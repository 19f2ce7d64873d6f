//! `GET /openapi.json`: what this server serves, as an OpenAPI document.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::http::error::Failure;
use crate::http::state::HttpState;

pub(in crate::http) fn answer(state: &HttpState) -> Result<Response, Failure> {
    let document = state.document.as_ref().ok_or_else(Failure::no_route)?;
    let mut response = Response::new(Body::from(document.bytes()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

//! `GET /metrics`, at the address of `[admin] listen` alone: what the server counts.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::http::error::Failure;
use crate::http::state::HttpState;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(in crate::http) fn answer(state: &HttpState) -> Result<Response, Failure> {
    state.jobs.measure();
    let page = state.runtime.metrics().page()?;
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

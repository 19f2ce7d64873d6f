//! A page of a list, the youngest first.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::http::error::{Failure, json_response};

const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

/// How many it has at most; what `limit` says.
pub(super) fn size(limit: Option<String>) -> Result<u32, Failure> {
    match limit.map(|limit| limit.parse()) {
        None => Ok(PAGE),
        Some(Ok(limit @ 1..=LARGEST_PAGE)) => Ok(limit),
        Some(_) => Err(Failure::invalid_at(
            "/limit",
            "limit is a number from 1 to 200.",
        )),
    }
}

/// The page as it is answered; `next` is the id of the last, where there may be more.
pub(super) fn answer<T: Serialize>(
    key: &str,
    items: &[T],
    size: u32,
    id: impl Fn(&T) -> &str,
) -> Response {
    let is_full = u32::try_from(items.len()).is_ok_and(|count| count == size);
    let next = items.last().filter(|_| is_full).map(id);
    json_response(StatusCode::OK, &json!({ key: items, "next": next }))
}

//! `GET /-/usage`: what whoever asks has used, day by day.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::error::{Failure, json_response};
use crate::http::escapes;
use crate::http::router::Call;

const DAYS: u64 = 30;
const MOST_DAYS: u64 = 366;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let query = call.request.uri.query();
    let wanted = escapes::query_param(query, "days");
    let days = match wanted.map(|days| days.parse()) {
        None => DAYS,
        Some(Ok(days @ 1..=MOST_DAYS)) => days,
        Some(_) => {
            return Err(Failure::invalid_at(
                "/days",
                "days is a number from 1 to 366.",
            ));
        }
    };
    let usage = call.state.runtime.usage(&call.principal(), days).await?;
    Ok(json_response(StatusCode::OK, &json!({ "days": usage })))
}

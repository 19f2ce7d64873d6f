//! `GET /-/runs`: the runs of whoever asks, the youngest first, page by page.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::error::{Failure, json_response};
use crate::http::escapes;
use crate::http::router::Call;
use crate::runtime::{RunQuery, RunState};

const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let query = run_query(call.request.uri.query())?;
    let limit = query.limit;
    let runs = call.state.runtime.runs(query, &call.principal()).await?;
    let is_full = u32::try_from(runs.len()).is_ok_and(|count| count == limit);
    let next = runs.last().filter(|_| is_full);
    let next = next.map(|run| run.run_id.to_string());
    Ok(json_response(
        StatusCode::OK,
        &json!({ "runs": runs, "next": next }),
    ))
}

fn run_query(query: Option<&str>) -> Result<RunQuery, Failure> {
    let param = |name| escapes::query_param(query, name);
    let text = |name| param(name).filter(|value| !value.is_empty());
    let state = match param("state") {
        None => None,
        Some(name) => match RunState::named(&name) {
            Some(state) => Some(state),
            None => {
                return Err(Failure::invalid_at(
                    "/state",
                    "state is running, finished, failed or aborted.",
                ));
            }
        },
    };
    Ok(RunQuery {
        agent: text("agent"),
        conversation_id: text("conversationId"),
        state,
        before: text("before"),
        limit: page_size(param("limit"))?,
    })
}

/// How many a page of a list has.
pub(super) fn page_size(limit: Option<String>) -> Result<u32, Failure> {
    match limit.map(|limit| limit.parse()) {
        None => Ok(PAGE),
        Some(Ok(limit @ 1..=LARGEST_PAGE)) => Ok(limit),
        Some(_) => Err(Failure::invalid_at(
            "/limit",
            "limit is a number from 1 to 200.",
        )),
    }
}

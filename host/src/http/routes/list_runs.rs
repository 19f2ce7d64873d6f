//! `GET /-/runs`: the runs of whoever asks, the youngest first, page by page.

use axum::response::Response;

use super::page;
use crate::http::error::Failure;
use crate::http::escapes;
use crate::http::router::Call;
use crate::runtime::{RunQuery, RunState};

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let query = run_query(call.request.uri.query())?;
    let limit = query.limit;
    let runs = call.state.runtime.runs(query, &call.principal()).await?;
    Ok(page::answer("runs", &runs, limit, |run| &run.run_id))
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
        limit: page::size(param("limit"))?,
    })
}

//! `POST /tools/:name/execute`: calls a tool, where the operator has opened it.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::clock::millis;
use crate::http::error::{Failure, json_response};
use crate::http::router::Call;
use crate::http::schemas;
use crate::runtime::Caller;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let caller = Caller {
        principal: call.principal(),
        request_id: Arc::clone(&call.request.id),
    };
    let name = call.param("tool").to_owned();
    let runtime = &call.state.runtime;
    let mut body = call
        .body
        .checked(&call.request.headers, &schemas::TOOL_INPUT)?;
    let input = body.remove("input").unwrap_or_else(|| json!({}));
    let began = Instant::now();
    let result = runtime.call_tool(&name, &input, caller).await?;
    let took = millis(began.elapsed());
    Ok(json_response(
        StatusCode::OK,
        &json!({
            "toolName": name,
            "result": result,
            "executionTime": took,
            "timestamp": runtime.time_text(),
        }),
    ))
}

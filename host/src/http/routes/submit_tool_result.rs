//! `POST /:name/run/tool-result`: the client answers a client tool.

use axum::response::Response;
use serde_json::Value;

use super::no_content;
use crate::http::error::Failure;
use crate::http::router::Call;
use crate::http::schemas;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let principal = call.principal();
    let mut body = call
        .body
        .checked(&call.request.headers, &schemas::TOOL_RESULT)?;
    let result = body.remove("result");
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let result = match text("error") {
        Some(error) if text("status") == Some("error") => Err(error.to_owned()),
        _ => Ok(result.unwrap_or_default()),
    };
    let run_id = text("runId").unwrap_or_default();
    let call_id = text("toolCallId").unwrap_or_default();
    let runtime = &call.state.runtime;
    if runtime
        .submit_tool_result(run_id, call_id, result, &principal)
        .await?
    {
        Ok(no_content())
    } else {
        Err(Failure::not_found(
            "No pending client tool call found for runId/toolCallId.",
        ))
    }
}

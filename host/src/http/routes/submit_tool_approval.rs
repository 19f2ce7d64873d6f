//! `POST /:name/run/tool-approval`: somebody decides whether a tool may be called.

use axum::response::Response;
use serde_json::Value;

use super::no_content;
use crate::http::error::Failure;
use crate::http::router::Call;
use crate::http::schemas;
use crate::runtime::Decision;

pub(in crate::http) async fn answer(call: Call<'_>) -> Result<Response, Failure> {
    let principal = call.principal();
    let body = call
        .body
        .checked(&call.request.headers, &schemas::TOOL_APPROVAL)?;
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let decision = Decision {
        approved: text("decision") == Some("approved"),
        note: text("note").map(str::to_owned),
        actor_id: text("actorId").map(str::to_owned),
    };
    let run_id = text("runId").unwrap_or_default();
    let call_id = text("toolCallId").unwrap_or_default();
    let runtime = &call.state.runtime;
    if runtime
        .submit_approval(run_id, call_id, decision, &principal)
        .await?
    {
        Ok(no_content())
    } else {
        Err(Failure::not_found(
            "No pending tool approval found for runId/toolCallId.",
        ))
    }
}

//! How runs look: a row of a batch, the whole entity, and the answer of a finished run.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{RunEnd, RunStatus, Transcript, TranscriptCall, rfc3339};

fn state(state: &str) -> &'static str {
    match state {
        "finished" => "COMPLETED",
        "failed" => "FAILED",
        "aborted" => "CANCELLED",
        "waiting" => "PAUSED",
        _ => "RUNNING",
    }
}

/// A row of a batch.
pub(crate) fn row(run: &RunStatus) -> Value {
    let is_waiting = !run.approvals.is_empty();
    json!({
        "id": run.run_id,
        "agentId": run.agent,
        "sessionId": run.conversation_id,
        "status": state(if is_waiting { "waiting" } else { &run.state }),
        "createdAt": rfc3339(run.created_at),
        "completedAt": run.ended_at.map(rfc3339),
    })
}

/// The whole entity.
pub(crate) fn entity(run: &RunStatus, told: &Transcript) -> Value {
    let output = run.ended_at.is_some().then_some(told.text.as_str());
    let more = json!({
        "userId": run.principal.subject,
        "orgId": run.principal.tenant,
        "input": told.input,
        "output": output,
        "updatedAt": run.ended_at.map(rfc3339),
        "requiredAction": waiting(told).map(required_action),
    });
    joined([row(run), more, metrics(run, told)])
}

/// What a client that waited reads: of a run that has ended well, was cancelled, or waits.
pub(crate) fn answer(run: &RunStatus, told: &Transcript, model: Option<&str>) -> Value {
    let tools = told.calls.iter().map(|call| {
        json!({
            "toolName": call.name,
            "toolInput": call.arguments().to_string(),
            "toolOutput": call.result,
            "durationMs": call.duration_ms,
            "isError": call.is_error,
        })
    });
    let counts = json!({
        "model": model,
        "llmCallCount": told.model_calls,
        "errorCount": told.calls.iter().filter(|call| call.is_error).count(),
    });
    let mut answer = json!({
        "runId": run.run_id,
        "sessionId": run.conversation_id,
        "content": told.text,
        "status": state(told.state()),
        "metadata": { "model": model },
        "tools": tools.collect::<Vec<_>>(),
        "reasoningSteps": told.reasoning,
        "metrics": joined([counts, metrics(run, told)]),
    });
    if let Some(call) = waiting(told) {
        answer["metadata"]["requiredAction"] = required_action(call);
    }
    answer
}

fn metrics(run: &RunStatus, told: &Transcript) -> Value {
    let failure = match &told.end {
        Some(RunEnd::Failed { code, message }) => Some((code, public_message(code, message))),
        _ => None,
    };
    // What the whole run has used; its last answer where the server has forgotten it.
    let usage = run.usage.as_ref().map_or(told.usage, |total| total.tokens);
    json!({
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "durationMs": run.ended_at.map(|end| end.saturating_sub(run.created_at)),
        "errorType": failure.map(|(code, _)| code),
        "errorMessage": failure.map(|(_, message)| message),
    })
}

/// One object of several.
fn joined<const N: usize>(objects: [Value; N]) -> Value {
    let objects = objects.into_iter().filter_map(|it| it.as_object().cloned());
    Value::Object(objects.flatten().collect())
}

/// What clients read of a failure: no text of a provider.
pub(crate) fn public_message<'m>(code: &str, message: &'m str) -> &'m str {
    match code {
        "UPSTREAM_FAILED" => "The model provider failed.",
        "INTERNAL" => "An unexpected error occurred.",
        _ => message,
    }
}

/// The call that somebody has to decide on; of a run that has ended, nobody has.
fn waiting(told: &Transcript) -> Option<&TranscriptCall> {
    told.waiting().filter(|_| told.end.is_none())
}

/// What a client is told that has to decide.
fn required_action(call: &TranscriptCall) -> Value {
    json!({
        "type": "TOOL_APPROVAL",
        "approvalId": call.id,
        "toolName": call.name,
        "toolArguments": call.arguments(),
        "message": format!("The tool '{}' needs approval.", call.name),
    })
}

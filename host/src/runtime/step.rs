//! One step: the model is asked, and its answer is shown as it comes.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mortise_plugin_api::{
    ChunkStream, Event, Item, ModelRequest, Result, Stage, ToolCallRef, ToolTarget,
};

use super::access::Place;
use super::active::ActiveRun;
use super::answer::{AnswerBuilder, Shown};
use super::checkpoint::Answered;
use super::engine::Engine;
use super::failure;
use super::models::ModelEntry;
use super::tools::PendingCall;
use super::usage::Bill;
use crate::store::AnswerKind;

/// Asks a model; hooks see the request before and the answer after.
pub(crate) async fn ask_model(
    engine: &Arc<Engine>,
    run: &Arc<ActiveRun>,
    entry: &ModelEntry,
    mut request: ModelRequest,
    step: u32,
) -> Result<Answered> {
    let place = Place {
        step,
        ..Place::default()
    };
    let access = engine.access(run, place);
    entry.own_name().clone_into(&mut request.model);
    request.stream = run.answer == AnswerKind::Stream;
    if engine.pipeline.has(Stage::BeforeModel) {
        run.log.flush();
    }
    engine
        .pipeline
        .replace(Stage::BeforeModel, &access, &mut request)
        .await?;
    engine
        .pipeline
        .observers()
        .phase_of(&access, "model.before", || {
            serde_json::json!({
                "stepIndex": step,
                "inputCount": request.input.len(),
                "toolCount": request.tools.len(),
                "toolChoice": request.tool_choice,
            })
        });
    let mut bill = Bill::open(engine, run, entry)?;
    let generated = entry.model.generate(Arc::clone(&access), &request);
    let stream = droppable(run, generated).await?;
    let mut answered = show_answer(engine, run, stream, &mut bill).await?;
    drop(bill);
    engine
        .pipeline
        .replace(Stage::AfterModel, &access, &mut answered.response)
        .await?;
    engine.pipeline.observers().phase_of(
        &access,
        "model.after",
        || serde_json::json!({ "stepIndex": step, "response": answered.response }),
    );
    Ok(answered)
}

async fn show_answer(
    engine: &Arc<Engine>,
    run: &Arc<ActiveRun>,
    mut stream: ChunkStream,
    bill: &mut Bill,
) -> Result<Answered> {
    let watched = engine.is_watched(run);
    let mut builder = AnswerBuilder::default();
    let mut calls: Vec<PendingCall> = Vec::new();
    let mut shown = Vec::new();
    let mut message_id: Option<String> = None;
    loop {
        let next = async { stream.next().await.transpose() };
        let Some(chunk) = droppable(run, next).await? else {
            break;
        };
        bill.note(&chunk);
        {
            let mut taken = run.call_ids();
            builder.take(chunk, &mut taken, &mut shown)?;
        }
        for shown in shown.drain(..) {
            // Ends of reasoning and text carry the id that their starts had.
            let message_id = message_id.get_or_insert_with(|| {
                builder
                    .message_id
                    .take()
                    .unwrap_or_else(|| engine.ids.message())
            });
            track_call(run, &shown, message_id, &mut calls);
            if let Some(event) = watched
                .then(|| event(engine, run, shown, message_id, &calls))
                .flatten()
            {
                engine.emit(run, event).await?;
            }
        }
    }
    let response = builder.finish()?;
    for item in &response.output {
        if let Item::ToolCall(item) = item
            && let Some(call) = calls.iter_mut().find(|call| call.call_id == item.call_id)
        {
            call.arguments.clone_from(&item.arguments);
        }
    }
    // They may wait for long.
    calls.shrink_to_fit();
    Ok(Answered { response, calls })
}

/// Remembers the calls; the client may answer a call of its own as soon as its end is shown.
fn track_call(run: &ActiveRun, shown: &Shown, message_id: &str, calls: &mut Vec<PendingCall>) {
    match shown {
        Shown::CallStart { call_id, name } => {
            calls.push(PendingCall::new(call_id.clone(), name, message_id));
        }
        Shown::CallEnd { call_id, .. } => {
            if let Some(call) = calls.iter_mut().find(|call| call.call_id == *call_id) {
                call.expect_client(run);
            }
        }
        _ => {}
    }
}

fn event(
    engine: &Engine,
    run: &ActiveRun,
    shown: Shown,
    message_id: &str,
    calls: &[PendingCall],
) -> Option<Event> {
    let timestamp = engine.clock.now_millis();
    let message_id = message_id.to_owned();
    let role = || "assistant".to_owned();
    Some(match shown {
        Shown::TextStart => Event::TextMessageStart {
            message_id,
            role: role(),
            timestamp,
        },
        Shown::Text(delta) => Event::TextMessageContent {
            message_id,
            delta,
            timestamp,
        },
        Shown::TextEnd => Event::TextMessageEnd {
            message_id,
            timestamp,
        },
        Shown::ReasoningStart(visibility) => Event::ReasoningMessageStart {
            message_id,
            role: role(),
            visibility,
            timestamp,
        },
        Shown::Reasoning(visibility, delta) => Event::ReasoningMessageContent {
            message_id,
            visibility,
            delta,
            timestamp,
        },
        Shown::ReasoningEnd(visibility) => Event::ReasoningMessageEnd {
            message_id,
            visibility,
            timestamp,
        },
        Shown::CallStart { call_id, name } => Event::ToolCallStart {
            call: call_ref(run, message_id, call_id, name),
            timestamp,
        },
        Shown::CallArguments {
            call_id,
            name,
            delta,
        } => {
            let call = call_ref(run, message_id, call_id, name);
            Event::ToolCallArgs {
                call,
                delta,
                timestamp,
            }
        }
        Shown::CallEnd { call_id, name } => {
            // The end of a client tool that needs an approval is shown when the approval was
            // asked for: clients run the tool as soon as they see the end.
            if calls
                .iter()
                .any(|call| call.call_id == call_id && call.end_is_held)
            {
                return None;
            }
            Event::ToolCallEnd {
                call: call_ref(run, message_id, call_id, name),
                timestamp,
            }
        }
    })
}

/// Which call of which run an event tells of.
pub(crate) fn call_ref(
    run: &ActiveRun,
    parent_message_id: String,
    tool_call_id: String,
    tool_call_name: String,
) -> ToolCallRef {
    let tool_target = run.agent.tool(&tool_call_name).map(|tool| {
        if tool.is_client() {
            ToolTarget::Client
        } else {
            ToolTarget::Server
        }
    });
    ToolCallRef {
        parent_message_id,
        tool_call_id,
        tool_call_name,
        run_id: run.id.to_string(),
        agent_name: run.agent.name.to_string(),
        tool_target,
    }
}

/// Waits for a model; when the run is cancelled its call is dropped at once, and with it the
/// connection to a provider that would go on to count tokens.
fn droppable<T>(
    run: &ActiveRun,
    work: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    stopped_within(Duration::ZERO, run, work)
}

/// Waits for a plugin; when the run is cancelled it has the grace period to end, then it is
/// dropped.
pub(crate) fn stoppable<T>(
    engine: &Engine,
    run: &ActiveRun,
    work: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    stopped_within(engine.limits.cancel_grace.0, run, work)
}

async fn stopped_within<T>(
    grace: Duration,
    run: &ActiveRun,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = std::pin::pin!(work);
    if let Poll::Ready(ended) = futures_util::poll!(&mut work) {
        return ended;
    }
    run.log.flush();
    tokio::select! {
        biased;
        ended = &mut work => ended,
        () = run.cancel.cancelled() => match tokio::time::timeout(grace, work).await {
            Ok(Err(error)) => Err(failure::aborted(Some(error), &run.id)),
            // A result that came too late: the run is over.
            Ok(Ok(_)) | Err(_) => Err(failure::aborted(None, &run.id)),
        },
    }
}

/// Fails when the run was cancelled.
pub(crate) fn check_cancelled(run: &ActiveRun) -> Result<()> {
    if run.cancel.is_cancelled() {
        Err(failure::aborted(None, &run.id))
    } else {
        Ok(())
    }
}

//! Tool calls: parsed, seen by hooks, validated, approved, executed, and their errors answered.

mod approval;
mod client;
mod errors;
mod hooks;

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{
    Error, Event, Result, Stage, ToolCallRef, ToolErrorAnswer, ToolErrorKind, ToolErrorMode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use self::errors::{CallError, Ended, parse_error};
use super::access::Place;
use super::active::{ActiveRun, ClientResult, Decision};
use super::agents::{ToolBody, ToolEntry};
use super::checkpoint::{CallMark, CallProgress, Happened, Until};
use super::engine::Engine;
use super::failure;
use super::step::{call_ref, stoppable};
use crate::clock::millis;
use crate::config::Deadline;
use crate::plugin::capability::RunServices;

/// How often a hook may have a call repaired.
const REPAIRS: u32 = 2;
/// How often a hook may have a call tried in all.
const ATTEMPTS: u32 = 3;
/// The wait before another attempt, times the number of the attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A call that a model or a coded agent made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PendingCall {
    pub(crate) call_id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) message_id: String,
    /// The client may answer before the call has its turn.
    #[serde(skip)]
    pub(crate) early_result: Option<oneshot::Receiver<ClientResult>>,
    /// The end of the call is shown once its approval was asked for.
    pub(crate) end_is_held: bool,
}

/// What came of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CallOutcome {
    pub(crate) result: Value,
    pub(crate) is_error: bool,
    /// Why there is no result of the tool's own; a call that was denied is no error to clients.
    #[serde(default)]
    pub(crate) error: Option<Error>,
}

/// A call at work.
struct Execution<'a> {
    engine: &'a Arc<Engine>,
    run: &'a Arc<ActiveRun>,
    tool: &'a Arc<ToolEntry>,
    access: Arc<dyn RunServices>,
    call: PendingCall,
    /// What had happened to the call before a crash. In a box: most calls met none.
    progress: Option<Box<CallProgress>>,
    /// Somebody may decide as soon as the request is shown.
    decision: Option<oneshot::Receiver<Decision>>,
}

// === impl PendingCall ===

impl PendingCall {
    /// A call of which nothing is known yet but its tool, in this message.
    pub(crate) fn new(call_id: String, name: &str, message_id: &str) -> Self {
        Self {
            call_id,
            name: name.to_owned(),
            arguments: String::new(),
            message_id: message_id.to_owned(),
            early_result: None,
            end_is_held: false,
        }
    }

    /// The call is complete: if the client runs it, it may answer from now on, or once approved.
    pub(crate) fn expect_client(&mut self, run: &ActiveRun) {
        let Some(tool) = run.agent.tool(&self.name).filter(|tool| tool.is_client()) else {
            return;
        };
        if tool.info.approval.is_some() {
            self.end_is_held = true;
        } else if !run.was_answered(&self.call_id) {
            self.early_result = Some(run.expect_result(&self.call_id));
        }
    }
}

/// Shows a call that a coded agent makes: start, arguments, end.
pub(crate) async fn show_call(
    engine: &Arc<Engine>,
    run: &Arc<ActiveRun>,
    call: &mut PendingCall,
) -> Result<()> {
    call.expect_client(run);
    let timestamp = engine.clock.now_millis();
    let reference = || {
        call_ref(
            run,
            call.message_id.clone(),
            call.call_id.clone(),
            call.name.clone(),
        )
    };
    engine
        .emit(
            run,
            Event::ToolCallStart {
                call: reference(),
                timestamp,
            },
        )
        .await?;
    let delta = call.arguments.clone();
    engine
        .emit(
            run,
            Event::ToolCallArgs {
                call: reference(),
                delta,
                timestamp,
            },
        )
        .await?;
    if !call.end_is_held {
        engine
            .emit(
                run,
                Event::ToolCallEnd {
                    call: reference(),
                    timestamp,
                },
            )
            .await?;
    }
    Ok(())
}

/// Executes a call and shows its result.
pub(crate) async fn execute(
    engine: &Arc<Engine>,
    run: &Arc<ActiveRun>,
    call: PendingCall,
    step: u32,
) -> Result<CallOutcome> {
    let Some(tool) = run.agent.tool(&call.name) else {
        let message = format!(
            "Tool '{}' was requested by the model but is not available for this run.",
            call.name
        );
        if run.request.unknown_tool_mode == Some(ToolErrorMode::ToolError) {
            return refuse(engine, run, call, message).await;
        }
        return Err(Error::invalid(message)
            .with_context("runId", &*run.id)
            .with_context("agentName", &*run.agent.name)
            .with_context("toolName", call.name.as_str()));
    };
    let mut execution = Execution::new(engine, run, tool, call, step);
    let executed = match execution.past(|progress| &mut progress.ended) {
        // It was shown before the crash.
        Some(outcome) => Ok(outcome),
        None => execution.execute().await,
    };
    let is_error = executed.as_ref().ok().map(|outcome| outcome.is_error);
    run.meters.tool_called(is_error);
    // Whatever happened: nobody may answer this call any more.
    run.expect_nothing(&execution.call.call_id);
    executed
}

/// The model reads that there is no such tool.
async fn refuse(
    engine: &Arc<Engine>,
    run: &Arc<ActiveRun>,
    call: PendingCall,
    message: String,
) -> Result<CallOutcome> {
    let progress = run.take_progress(&call.call_id);
    if let Some(outcome) = progress.and_then(|it| it.ended) {
        return Ok(outcome);
    }
    let failed = CallError {
        kind: ToolErrorKind::Validation,
        cause: Error::invalid(message.as_str()),
        message,
        retryable: Some(false),
    };
    let (outcome, _, error_kind) = Ended::Failed(failed, call.name.clone()).into_parts();
    if engine.is_watched(run) {
        run.log.mark_with_next(&CallMark {
            call_id: call.call_id.clone(),
            happened: Happened::Ended(outcome.clone()),
        })?;
        let event = Event::ToolCallResult {
            call: call_ref(run, call.message_id, call.call_id, call.name),
            result: outcome.result.clone(),
            is_error: outcome.is_error,
            error_kind,
            timestamp: engine.clock.now_millis(),
        };
        engine.emit(run, event).await?;
    }
    Ok(outcome)
}

// === impl Execution ===

impl<'a> Execution<'a> {
    fn new(
        engine: &'a Arc<Engine>,
        run: &'a Arc<ActiveRun>,
        tool: &'a Arc<ToolEntry>,
        mut call: PendingCall,
        step: u32,
    ) -> Self {
        let place = Place {
            step,
            message_id: Some(call.message_id.clone()),
            tool_call_id: Some(call.call_id.clone()),
            in_event_stage: false,
        };
        let progress = run.take_progress(&call.call_id).map(Box::new);
        call.end_is_held &= progress.as_ref().is_none_or(|it| it.requested.is_none());
        Self {
            engine,
            run,
            tool,
            access: engine.access(run, place),
            call,
            progress,
            decision: None,
        }
    }

    /// Takes what is known from before a crash.
    fn past<T>(&mut self, of: impl FnOnce(&mut CallProgress) -> &mut Option<T>) -> Option<T> {
        of(self.progress.as_deref_mut()?).take()
    }

    async fn execute(&mut self) -> Result<CallOutcome> {
        // An approval is for the exact arguments, so that nobody changes them any more.
        let approved = self.progress.as_ref().and_then(|it| it.requested.as_ref());
        let is_bound = approved.is_some();
        let parsed = match approved {
            Some(approved) => Some(approved.arguments.clone()),
            None => parse(&self.call.arguments),
        };
        let is_parsed = parsed.is_some();
        let mut arguments = parsed.unwrap_or(Value::Null);
        let mut skipped = None;
        if is_parsed && !is_bound && self.engine.pipeline.has(Stage::BeforeTool) {
            (arguments, skipped) = Box::pin(self.before_tool(arguments)).await?;
        }
        self.engine
            .pipeline
            .observers()
            .phase_of(&self.access, "tool.before", || {
                json!({
                    "toolName": self.call.name, "toolCallId": self.call.call_id, "args": arguments,
                })
            });
        let ended = if let Some(skipped) = skipped {
            skipped
        } else if is_parsed {
            self.attempt(&arguments).await?
        } else {
            Box::pin(self.answer_error(parse_error(&self.call))).await?
        };
        let (mut outcome, error, kind) = ended.into_parts();
        if self.engine.pipeline.has(Stage::AfterTool) {
            outcome.result =
                Box::pin(self.after_tool(&arguments, outcome.result, error.clone())).await?;
        }
        self.engine
            .pipeline
            .observers()
            .phase_of(&self.access, "tool.after", || {
                json!({
                    "toolName": self.call.name,
                    "toolCallId": self.call.call_id,
                    "args": arguments,
                    "result": outcome.result,
                    "error": error,
                })
            });
        self.mark_with_next(Happened::Ended(outcome.clone()))?;
        if self.engine.is_watched(self.run) {
            let event = Event::ToolCallResult {
                call: self.reference(),
                result: outcome.result.clone(),
                is_error: outcome.is_error,
                error_kind: kind,
                timestamp: self.engine.clock.now_millis(),
            };
            self.engine.emit(self.run, event).await?;
        }
        Ok(outcome)
    }

    /// Validates, asks for approval, and does the work; hooks may have it tried again.
    async fn attempt(&mut self, arguments: &Value) -> Result<Ended> {
        let (mut attempt, mut repairs) = (1, 0);
        let mut repaired = None;
        loop {
            let failed = match self.once(repaired.as_ref().unwrap_or(arguments)).await? {
                Ok(ended) => return Ok(ended),
                Err(failed) => failed,
            };
            match Box::pin(self.ask_error_hooks(&failed, attempt)).await? {
                ToolErrorAnswer::Repair(arguments) if repairs < REPAIRS => {
                    repairs += 1;
                    repaired = Some(arguments);
                }
                ToolErrorAnswer::Retry
                    if attempt < ATTEMPTS && failed.kind == ToolErrorKind::Execution =>
                {
                    let pause = RETRY_PAUSE * attempt;
                    let pause = async {
                        tokio::time::sleep(pause).await;
                        Ok(())
                    };
                    stoppable(self.engine, self.run, pause).await?;
                }
                other => return self.settle(failed, other),
            }
            attempt += 1;
        }
    }

    /// The outer error fails the run; the inner one is the tool's.
    async fn once(&mut self, arguments: &Value) -> Result<Result<Ended, CallError>> {
        if let Err(issues) = self.tool.arguments.validate(arguments) {
            tracing::debug!(
                tool = self.call.name,
                ?issues,
                "arguments do not fit the schema"
            );
            return Ok(Err(CallError {
                kind: ToolErrorKind::Validation,
                message: "Tool arguments failed schema validation. The provided data is invalid \
                          according to schema."
                    .into(),
                retryable: Some(false),
                cause: failure::invalid("schema", &issues),
            }));
        }
        let needs_approval = self.tool.info.approval.is_some() || self.progress.is_some();
        if needs_approval && let Some(denied) = Box::pin(self.approve(arguments)).await? {
            return Ok(Ok(Ended::Denied(denied)));
        }
        if self.call.end_is_held {
            Box::pin(self.show_held_end()).await?;
        }
        match &self.tool.body {
            ToolBody::Server(tool) => {
                self.mark(Happened::Started).await?;
                let called = tool.call(Arc::clone(&self.access), arguments);
                let limit = self.engine.limits.tool_timeout.0;
                let called = async {
                    tokio::time::timeout(limit, called)
                        .await
                        .unwrap_or_else(|_| {
                            Err(Error::timeout(format!(
                                "The tool gave no result within {limit:?}."
                            )))
                        })
                };
                match stoppable(self.engine, self.run, called).await {
                    Ok(result) => Ok(Ok(Ended::Fine(result))),
                    Err(error) if self.run.cancel.is_cancelled() => Err(error),
                    Err(error) => Ok(Err(self.execution_error(error))),
                }
            }
            ToolBody::Agents(tool) => {
                self.mark(Happened::Started).await?;
                self.run.log.flush();
                // Other agents hear of a cancellation themselves and end in order; each of their
                // waits has a limit of its own.
                let called = tool.call(Arc::clone(&self.access), arguments);
                match called.await {
                    Ok(result) => Ok(Ok(Ended::Fine(result))),
                    Err(error) if self.run.cancel.is_cancelled() => Err(error),
                    Err(error) => Ok(Err(self.execution_error(error))),
                }
            }
            ToolBody::Client(_) => self.await_client().await,
        }
    }

    // === waiting ===

    fn deadline(&self, timeout: Deadline) -> Until {
        let Some(limit) = timeout.limit() else {
            return Until::Never;
        };
        let now = self.engine.clock.now_millis();
        Until::At(now.saturating_add(millis(limit)))
    }

    /// Waits until then.
    async fn passed(&self, deadline: Until) {
        match deadline {
            Until::Never => std::future::pending().await,
            Until::At(time) => {
                let left = time.saturating_sub(self.engine.clock.now_millis());
                tokio::time::sleep(Duration::from_millis(left)).await;
            }
        }
    }

    fn about_this_call(&self, error: Error) -> Error {
        error
            .with_context("runId", &*self.run.id)
            .with_context("toolName", self.call.name.as_str())
            .with_context("toolCallId", self.call.call_id.as_str())
    }

    async fn show_held_end(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.call.end_is_held) {
            return Ok(());
        }
        let timestamp = self.engine.clock.now_millis();
        self.emit(Event::ToolCallEnd {
            call: self.reference(),
            timestamp,
        })
        .await
    }

    // === what outlives a crash ===

    fn happened(&self, happened: Happened) -> CallMark {
        CallMark {
            call_id: self.call.call_id.clone(),
            happened,
        }
    }

    fn mark_with_next(&self, happened: Happened) -> Result<()> {
        let mark = self.happened(happened);
        self.run.log.mark_with_next(&mark)
    }

    /// Remembers something before it happens.
    async fn mark(&self, happened: Happened) -> Result<()> {
        if self.run.log.keeps_marks() {
            let mark = self.happened(happened);
            self.run.log.mark(&mark)?;
            self.run.log.settle().await?;
        }
        Ok(())
    }

    async fn emit(&self, event: Event) -> Result<()> {
        if self.engine.is_watched(self.run) {
            self.engine.emit(self.run, event).await?;
        }
        Ok(())
    }

    fn reference(&self) -> ToolCallRef {
        call_ref(
            self.run,
            self.call.message_id.clone(),
            self.call.call_id.clone(),
            self.call.name.clone(),
        )
    }
}

fn parse(arguments: &str) -> Option<Value> {
    let arguments = arguments.trim();
    serde_json::from_str(if arguments.is_empty() {
        "{}"
    } else {
        arguments
    })
    .ok()
}

//! Drives a run from its first event to its last.

mod end;
mod step_hooks;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{Error, Event, Item, Result, RunResult};
use serde_json::{Map, Value};

use super::access::Place;
use super::active::ActiveRun;
use super::agents::{AgentKind, AgentSpec};
use super::checkpoint::Progress;
use super::engine::Engine;
use super::failure;
use super::input::{self, Sent};
use super::step::{check_cancelled, stoppable};
use crate::plugin::capability::AgentCapability;
use crate::store::{AnswerKind, ConversationSave};

/// A run at work.
struct Driver<'a> {
    engine: &'a Arc<Engine>,
    run: &'a Arc<ActiveRun>,
}

/// What a run comes to, and what is stored with its end.
struct Worked {
    result: RunResult,
    conversation: Option<ConversationSave>,
}

/// A run that may begin.
struct Prepared {
    progress: Progress,
    /// The input to show, where hooks have changed it.
    changed: Option<Value>,
    /// Whether the model can take it. Where it cannot, the run fails once it is shown to have begun.
    fits: Result<()>,
}

/// Where a run goes on from.
pub(crate) enum Begin {
    Anew,
    /// After a crash of the server.
    From(Box<Progress>),
}

/// Does a run: shows its end, and returns what it came to.
pub(crate) async fn drive(
    engine: &Arc<Engine>,
    run: &Arc<ActiveRun>,
    begin: Begin,
) -> Result<RunResult> {
    let driver = Driver { engine, run };
    let (worked, is_overdue) = match engine.limits.max_duration.limit() {
        None => (driver.work(begin).await, false),
        Some(limit) => driver.work_within(limit, begin).await,
    };
    driver.end(worked, is_overdue).await
}

// === impl Driver ===

impl Driver<'_> {
    /// Does everything but the end, and whether that took too long: then it is cancelled, and has the
    /// grace period to end.
    async fn work_within(&self, limit: Duration, begin: Begin) -> (Result<Worked>, bool) {
        let Self { engine, run } = self;
        let lived = engine.clock.now_millis().saturating_sub(run.created_at);
        let left = limit.saturating_sub(Duration::from_millis(lived));
        let mut work = std::pin::pin!(self.work(begin));
        if let Ok(worked) = tokio::time::timeout(left, &mut work).await {
            return (worked, false);
        }
        let was_aborted = run.cancel.is_cancelled();
        run.cancel.cancel();
        // What it still comes to, it comes to too late.
        let _ = tokio::time::timeout(engine.limits.cancel_grace.0, work).await;
        let message = format!("The run took longer than {limit:?}.");
        (Err(Error::timeout(message)), !was_aborted)
    }

    /// Does everything but the end.
    async fn work(&self, begin: Begin) -> Result<Worked> {
        let mut progress = match begin {
            Begin::From(progress) => {
                self.run.lineage.resume_steps(progress.taken_steps);
                *progress
            }
            Begin::Anew => self.begin().await?,
        };
        let mut result = match &self.run.agent.kind {
            AgentKind::Declared(model) => self.loop_steps(model, &mut progress).await?,
            AgentKind::Coded(agent) => self.run_coded(agent, &progress).await?,
            AgentKind::ToolEndpoint => return Err(Error::internal("there is no agent to run")),
        };
        self.settle(&mut result, &mut progress).await?;
        check_cancelled(self.run)?;
        let conversation = match self.conversation_key() {
            Some(key) => Some(Box::pin(self.conversation_to_save(key, progress)).await?),
            None => None,
        };
        Ok(Worked {
            result,
            conversation,
        })
    }

    async fn begin(&self) -> Result<Progress> {
        let Prepared {
            progress,
            changed,
            fits,
        } = self.prepare().await?;
        if matches!(self.run.agent.kind, AgentKind::Declared(_)) && !self.run.lineage.take_step() {
            return Err(failure::no_steps_left());
        }
        self.emit(|run, timestamp| {
            let input = changed.unwrap_or_else(|| run.request.input.clone());
            let mut run_input = Map::from_iter([("input".to_owned(), input)]);
            if let Some(context) = &run.request.context {
                run_input.insert("context".into(), context.clone());
            }
            Event::RunStarted {
                run_id: run.id.to_string(),
                agent_name: run.agent.name.to_string(),
                run_input: Value::Object(run_input),
                timestamp,
                conversation_id: conversation(run),
            }
        })
        .await?;
        fits?;
        Ok(progress)
    }

    /// Checks what the client has sent before the run begins.
    async fn prepare(&self) -> Result<Prepared> {
        let Self { engine, run } = self;
        input::check_context(&run.agent, &run.request)?;
        if run.answer == AnswerKind::Json {
            refuse_interactive(&run.agent)?;
        }
        let Sent {
            items: input,
            changed,
        } = input::sent(engine, run).await?;
        let history = input::load_history(engine, run).await?;
        let is_kept = !run.request.replace_history;
        let kept = if is_kept { &history.items[..] } else { &[] };
        let heard = [kept, &input].concat();
        let omit = run.request.omit_unsupported_parts.unwrap_or(true);
        let sent = input.len();
        let conversation: Vec<Item> = match &run.agent.kind {
            AgentKind::Declared(model) if omit => {
                let read = input::replayed(kept);
                let read = read.filter_map(|item| input::without_unsupported(item, model.info()));
                read.chain(input).collect()
            }
            AgentKind::Declared(_) => input::replayed(kept).cloned().chain(input).collect(),
            AgentKind::Coded(_) | AgentKind::ToolEndpoint => heard.clone(),
        };
        // What is left of the history fits.
        let unchecked = if omit { conversation.len() - sent } else { 0 };
        let fits = input::check_model(&run.agent, &run.request, &conversation[unchecked..]);
        Ok(Prepared {
            progress: Progress {
                conversation,
                heard,
                version: history.version,
                ..Progress::default()
            },
            changed,
            fits,
        })
    }

    async fn run_coded(
        &self,
        agent: &Arc<dyn AgentCapability>,
        progress: &Progress,
    ) -> Result<RunResult> {
        let access = self.engine.access(self.run, Place::default());
        let running = agent.run(access, &progress.conversation);
        stoppable(self.engine, self.run, running).await
    }

    /// Shows an event, if anybody watches.
    async fn emit(&self, event: impl FnOnce(&ActiveRun, u64) -> Event) -> Result<()> {
        if !self.engine.is_watched(self.run) {
            return Ok(());
        }
        let event = event(self.run, self.engine.clock.now_millis());
        self.engine.emit(self.run, event).await
    }
}

/// A run without a stream cannot wait for a client or an approver.
fn refuse_interactive(agent: &AgentSpec) -> Result<()> {
    for tool in &agent.tools {
        let name = tool.info.name.as_str();
        let what = if tool.is_client() {
            "client tool"
        } else if tool.info.approval.is_some() {
            "approval-gated tool"
        } else {
            continue;
        };
        let message = format!(
            "Non-stream runs do not support interactive tools. Use stream() for {what} '{name}'."
        );
        let target = if tool.is_client() { "client" } else { "server" };
        return Err(Error::bad_request(message)
            .with_context("agentName", &*agent.name)
            .with_context("toolName", name)
            .with_context("toolTarget", target));
    }
    Ok(())
}

fn max_steps(run: &ActiveRun) -> Option<u32> {
    run.request.max_steps.or(run.agent.max_steps)
}

fn conversation(run: &ActiveRun) -> Option<String> {
    run.conversation_id().map(str::to_owned)
}

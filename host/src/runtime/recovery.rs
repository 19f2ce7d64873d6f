//! Runs that had not ended when the server did: those that waited, or stood between two steps, go
//! on; the others end.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::{Error, Item};
use tokio::sync::oneshot;

use super::active::{ActiveRun, Beginning};
use super::agents::{AgentKind, AgentSpec, ToolBody};
use super::api::Caller;
use super::checkpoint::{CallProgress, Progress, progress_of_calls};
use super::driver::Begin;
use super::log::EventLog;
use super::service::Runtime;
use super::{Coming, GoingOn, RunRequest, failure};
use crate::store::{AnswerKind, Finish, RunState, StoreError, UnfinishedRun};

/// What a run goes on with.
struct Revived {
    agent: Arc<AgentSpec>,
    request: RunRequest,
    progress: Progress,
    calls: HashMap<String, CallProgress>,
}

// === impl Runtime ===

impl Runtime {
    /// Takes up what the last server left: the runs that had not ended before any began here. What
    /// goes on, a worker may follow.
    pub(crate) async fn recover(&self, left: Vec<UnfinishedRun>) -> Result<GoingOn, StoreError> {
        let mut going_on = GoingOn::new();
        for unfinished in left {
            let run_id = Arc::clone(&unfinished.run.id);
            match self.revived(&unfinished) {
                Ok(revived) => {
                    tracing::info!(run_id = &*run_id, "a run goes on");
                    going_on.insert(run_id, self.go_on(unfinished, revived).await);
                }
                Err(reason) => {
                    tracing::warn!(run_id = &*run_id, reason, "a run was interrupted");
                    self.interrupt(unfinished).await?;
                }
            }
        }
        Ok(going_on)
    }

    /// What is needed to go on, or why the run cannot.
    fn revived(&self, unfinished: &UnfinishedRun) -> Result<Revived, &'static str> {
        if unfinished.run.answer == AnswerKind::Json {
            return Err("nobody waits for its answer any more");
        }
        let agents = self.engine.agents.now();
        let agent = agents.get(&unfinished.run.agent);
        let agent = Arc::clone(agent.ok_or("its agent is not there any more")?);
        if !matches!(agent.kind, AgentKind::Declared(_)) {
            return Err("only declared agents can go on");
        }
        let checkpoint = unfinished.checkpoint.as_ref();
        let checkpoint = checkpoint.ok_or("it had not come to a checkpoint")?;
        let request = unfinished.request.as_deref().unwrap_or_default();
        let unreadable = "what is stored of it cannot be read";
        let request: RunRequest = serde_json::from_str(request).map_err(|_| unreadable)?;
        let agent = agent.for_context(request.context.as_ref());
        let progress: Progress = serde_json::from_str(&checkpoint.json).map_err(|_| unreadable)?;
        let calls = progress_of_calls(&checkpoint.since).map_err(|_| unreadable)?;
        match &progress.pending {
            None if unfinished.next > checkpoint.next => {
                return Err("its model was at work");
            }
            None => {}
            Some(answered) => {
                for call in &answered.calls {
                    let Some(progress) = calls.get(&call.call_id) else {
                        continue;
                    };
                    let is_idempotent = agent.tool(&call.name).is_some_and(|tool| {
                        tool.info.idempotent && !matches!(tool.body, ToolBody::Client(_))
                    });
                    if progress.is_started && progress.ended.is_none() && !is_idempotent {
                        return Err("a tool was at work that must not be run twice");
                    }
                }
            }
        }
        Ok(Revived {
            agent,
            request,
            progress,
            calls,
        })
    }

    async fn go_on(&self, unfinished: UnfinishedRun, revived: Revived) -> Coming {
        let engine = &self.engine;
        let Revived {
            agent,
            request,
            progress,
            calls,
        } = revived;
        let run = ActiveRun::new(Beginning {
            id: Arc::clone(&unfinished.run.id),
            meters: engine.meters_of(&agent.name),
            agent,
            request,
            answer: AnswerKind::Stream,
            caller: Caller {
                principal: Arc::clone(&unfinished.run.owner),
                request_id: engine.ids.request().into(),
            },
            created_at: unfinished.run.created_at,
            log: EventLog::recovered(
                unfinished.run.id,
                Arc::clone(&engine.store),
                engine.limits.event_queue,
                unfinished.next,
            ),
            parent: None,
            progress: calls,
            spent: progress.spent,
        });
        let said = progress.conversation.iter();
        let earlier = said.filter_map(|item| match item {
            Item::ToolCall(call) => Some(call.call_id.clone()),
            _ => None,
        });
        let pending = progress.pending.iter().flat_map(|answered| &answered.calls);
        let pending = pending.map(|call| call.call_id.clone());
        run.call_ids().extend(earlier.chain(pending));
        run.meters.run_started();
        engine.active.insert(&run);
        let now = engine.clock.now_millis();
        if let Some(quotas) = &engine.quotas
            && let Err(error) = quotas.learn(&run.owner, &*engine.store, now).await
        {
            tracing::warn!(run_id = &*run.id, %error, "what its owner has used is not known");
        }
        let (sender, coming) = oneshot::channel();
        let begin = Begin::From(Box::new(progress));
        self.start(run, begin, Some(sender)).await;
        coming
    }

    async fn interrupt(&self, unfinished: UnfinishedRun) -> Result<(), StoreError> {
        let engine = &self.engine;
        let UnfinishedRun {
            run,
            next,
            checkpoint,
            ..
        } = unfinished;
        let progress = checkpoint.and_then(|it| serde_json::from_str::<Progress>(&it.json).ok());
        let last_words = match run.answer {
            AnswerKind::Json => None,
            AnswerKind::Stream => {
                let error = failure::of_run(&failure::interrupted());
                let log = EventLog::recovered(
                    Arc::clone(&run.id),
                    Arc::clone(&engine.store),
                    engine.limits.event_queue,
                    next,
                );
                let event = engine.run_error_event(
                    &run.id,
                    &run.agent,
                    run.conversation_id.as_deref(),
                    &error,
                );
                let words = log.last_words(&[event]);
                Some(words.map_err(|error: Error| StoreError(error.to_string()))?)
            }
        };
        let finish = Finish {
            state: RunState::Failed,
            ended_at: engine.clock.now_millis(),
            usage: progress.and_then(|progress| progress.spent.total_if_any()),
            last_words,
            conversation: None,
        };
        engine.store.finish_run(&run.id, finish).await?;
        Ok(())
    }
}

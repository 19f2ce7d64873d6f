//! The end of a run: what it comes to, and what is stored with it.

use mortise_plugin_api::{Error, Event, Result, RunResult, Stage};
use serde_json::json;

use super::{Driver, Worked, conversation};
use crate::metrics::RunEnded;
use crate::runtime::access::Place;
use crate::runtime::agents::AgentKind;
use crate::runtime::checkpoint::Progress;
use crate::runtime::engine::End;
use crate::runtime::failure;
use crate::runtime::usage::Spent;
use crate::store::{ConversationKey, ConversationSave, Finished, RunState};

// === impl Driver ===

impl Driver<'_> {
    /// What hooks leave of a result; that of a coded agent is checked and stored as they leave it.
    pub(super) async fn settle(
        &self,
        result: &mut RunResult,
        progress: &mut Progress,
    ) -> Result<()> {
        let Self { engine, run } = self;
        // An agent that asked no model through the server tells what it has used itself.
        if run.spent() == Spent::default() {
            let spent = engine.charge(run, None, &result.response.usage);
            run.meters.used(None, &spent.tokens, spent.price());
        }
        result.usage = Some(run.spent().total());
        if engine.pipeline.has(Stage::AfterRun) {
            run.log.flush();
            let access = engine.access(run, Place::default());
            let replaced = engine.pipeline.replace(Stage::AfterRun, &access, result);
            Box::pin(replaced).await?;
        }
        if matches!(run.agent.kind, AgentKind::Declared(_)) {
            return Ok(());
        }
        if let Some(output) = &self.run.agent.output {
            let value = result.structured.as_ref().ok_or_else(|| {
                Error::invalid("The agent promises structured output, and gave none.")
            })?;
            output
                .schema
                .compiled
                .validate(value)
                .map_err(|issues| failure::invalid("schema", &issues))?;
        }
        progress.said.clone_from(&result.response.output);
        Ok(())
    }

    /// Under what the conversation of this run is stored, if it has one that is.
    pub(super) fn conversation_key(&self) -> Option<ConversationKey> {
        let Self { engine, run } = self;
        let id = run.conversation_id()?;
        let is_kept = engine.store.keeps().conversations;
        is_kept.then(|| ConversationKey::new(&run.owner, &run.agent.name, id))
    }

    /// The conversation with what was there, what the client sent, and what was said.
    pub(super) async fn conversation_to_save(
        &self,
        key: ConversationKey,
        progress: Progress,
    ) -> Result<ConversationSave> {
        let Self { engine, run } = self;
        let mut items = progress.heard;
        items.extend(progress.said);
        run.log.flush();
        let access = engine.access(run, Place::default());
        engine
            .pipeline
            .replace(Stage::BeforeSave, &access, &mut items)
            .await?;
        engine.pipeline.observers().phase_of(
            &access,
            "save.before",
            || json!({ "itemCount": items.len() }),
        );
        Ok(ConversationSave {
            key,
            items,
            expected: progress.version,
        })
    }

    /// Shows the end of the run, ends its log, and says what it came to. One that took too long was
    /// cancelled, and not aborted.
    pub(super) async fn end(&self, worked: Result<Worked>, is_overdue: bool) -> Result<RunResult> {
        let run = self.run;
        let ended = match worked {
            Ok(worked) => Box::pin(self.finish(worked)).await,
            Err(error) if failure::is_parked(&error) => {
                self.park();
                return Err(error);
            }
            Err(error) => Err(error),
        };
        let error = match ended {
            Ok(result) => {
                // Before the end: whoever reads to it may ask what the run cost.
                let _first = run.usage.set(run.spent().tokens);
                self.count(RunEnded::Finished);
                self.close(None);
                return Ok(result);
            }
            Err(error) => error,
        };
        let failed = if run.cancel.is_cancelled() && !is_overdue {
            let failed = failure::of_run(&failure::aborted(Some(error), &run.id));
            let event = Event::RunAborted {
                run_id: run.id.to_string(),
                agent_name: run.agent.name.to_string(),
                timestamp: self.engine.clock.now_millis(),
                conversation_id: conversation(run),
            };
            Box::pin(self.give_up(event, RunState::Aborted)).await;
            self.count(RunEnded::Aborted);
            failed
        } else {
            tracing::warn!(run_id = &*run.id, agent = &*run.agent.name, %error, "a run failed");
            let failed = failure::of_run(&error);
            let event = self.engine.run_error(run, &failed);
            Box::pin(self.give_up(event, RunState::Failed)).await;
            self.count(RunEnded::Failed);
            failed
        };
        self.close(Some(failed.message().to_owned()));
        Err(failed)
    }

    async fn finish(&self, worked: Worked) -> Result<RunResult> {
        let Self { engine, run } = self;
        let Worked {
            result,
            conversation: save,
        } = worked;
        let event = Event::RunFinished {
            run_id: run.id.to_string(),
            agent_name: run.agent.name.to_string(),
            result: RunResult {
                usage: result.usage.clone().filter(|_| engine.limits.total_usage),
                ..result.clone()
            },
            timestamp: engine.clock.now_millis(),
            conversation_id: conversation(run),
        };
        let end = End {
            state: RunState::Finished,
            conversation: save,
        };
        match engine.finish(run, event, end).await? {
            Finished::Won => Ok(result),
            Finished::AlreadyTerminal => Err(Error::internal("the run has ended before")),
            Finished::ConversationConflict => Err(Error::new(
                "CONFLICT",
                "Failed to save conversation messages.: Conversation was updated in another session.",
            )
            .with_context("conversationId", conversation(run).unwrap_or_default())
            .with_context("agentName", &*run.agent.name)),
        }
    }

    /// Shows the last event of a run that did not go well: without hooks if they fail, and even if
    /// it cannot be stored.
    async fn give_up(&self, event: Event, state: RunState) {
        let Self { engine, run } = self;
        let end = || End {
            state,
            conversation: None,
        };
        let Err(error) = engine.finish(run, event.clone(), end()).await else {
            return;
        };
        tracing::error!(run_id = &*run.id, %error, "the last event of a run did not come through");
        let events = vec![event];
        let Err(error) = engine.finish_with(run, events.clone(), end()).await else {
            return;
        };
        tracing::error!(run_id = &*run.id, %error, "the end of a run was not stored");
        engine.end_unstored(run, &events, state);
    }

    /// A part is counted with the whole.
    fn count(&self, end: RunEnded) {
        if !self.run.lineage.is_part() {
            self.engine.count_end(self.run, end);
        }
    }

    /// Leaves the run as it is stored; whoever watches may come back.
    fn park(&self) {
        tracing::info!(run_id = &*self.run.id, "a run that waits was parked");
        self.count(RunEnded::Parked);
        self.engine.active.remove(self.run);
        self.run.log.park();
        self.run.cancel.cancel();
    }

    fn close(&self, failure: Option<String>) {
        self.engine.close(self.run, failure);
    }
}

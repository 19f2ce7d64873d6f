//! Drives a run from its first event to its last.

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{
    Error, Event, Item, ModelRequest, ModelResponse, OutputErrorAnswer, OutputFailed, Result,
    RunResult, Stage, StepChange, StepEndAnswer, StepEnded, StepInput, TerminationReason,
    ToolCallItem,
};
use serde_json::{Map, Value, json};

use super::access::Place;
use super::active::ActiveRun;
use super::agents::{AgentKind, AgentSpec, ToolEntry};
use super::checkpoint::{Answered, Progress};
use super::engine::{End, Engine};
use super::input::{self, Sent};
use super::models::ModelEntry;
use super::step::{self, check_cancelled, stoppable};
use super::structured::{self, Unfit, Wanted};
use super::usage::Spent;
use super::{failure, models, tools};
use crate::metrics::RunEnded;
use crate::pipeline::to_json;
use crate::plugin::capability::{AgentCapability, RunServices};
use crate::store::{AnswerKind, ConversationKey, ConversationSave, Finished, RunState};

/// A run at work.
struct Driver<'a> {
    engine: &'a Arc<Engine>,
    run: &'a Arc<ActiveRun>,
}

/// How a step ended.
struct StepOutcome {
    response: ModelResponse,
    termination: Option<TerminationReason>,
}

/// What a run comes to, and what is stored with its end.
struct Worked {
    result: RunResult,
    conversation: Option<ConversationSave>,
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
    let worked = match engine.limits.max_duration.limit() {
        None => driver.work(begin).await,
        Some(limit) => {
            let lived = engine.clock.now_millis().saturating_sub(run.created_at);
            let left = limit.saturating_sub(Duration::from_millis(lived));
            match tokio::time::timeout(left, driver.work(begin)).await {
                Ok(worked) => worked,
                Err(_) => Err(Error::timeout(format!(
                    "The run took longer than {limit:?}."
                ))),
            }
        }
    };
    driver.end(worked).await
}

// === impl Driver ===

impl Driver<'_> {
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
        let (progress, changed) = self.prepare().await?;
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
        Ok(progress)
    }

    /// Checks everything that can be checked before the run begins. Also the input to show, where
    /// hooks have changed it.
    async fn prepare(&self) -> Result<(Progress, Option<Value>)> {
        let Self { engine, run } = self;
        input::check_context(&run.agent, &run.request)?;
        if run.answer == AnswerKind::Json {
            refuse_interactive(&run.agent)?;
        }
        let Sent {
            items: input,
            changed,
        } = input::sent(engine, run).await?;
        if let AgentKind::Declared(model) = &run.agent.kind {
            let info = model.info();
            input::check_capabilities(&input, &info.capabilities, &run.agent.name, &info.name)?;
            if run.agent.instructions.is_some() && !info.capabilities.instructions {
                return Err(step::cannot(&run.agent.name, "instructions"));
            }
        }
        let history = input::load_history(engine, run).await?;
        let is_kept = !run.request.replace_history;
        let kept = if is_kept { &history.items[..] } else { &[] };
        let heard = [kept, &input].concat();
        let conversation = match &run.agent.kind {
            AgentKind::Declared(model) => {
                let omit = run.request.omit_unsupported_parts.unwrap_or(true);
                let mut read = input::replayed(kept, &model.info().capabilities, omit);
                read.extend(input);
                read
            }
            AgentKind::Coded(_) | AgentKind::ToolEndpoint => heard.clone(),
        };
        let progress = Progress {
            conversation,
            heard,
            version: history.version,
            ..Progress::default()
        };
        Ok((progress, changed))
    }

    // === declared agents ===

    /// Step after step until there is a result.
    async fn loop_steps(&self, model: &ModelEntry, progress: &mut Progress) -> Result<RunResult> {
        // In a box: most runs want none.
        let wanted = Wanted::of(self.run)?.map(Box::new);
        if wanted.is_some() && !model.info().capabilities.structured_output {
            return Err(Error::new(
                "NOT_IMPLEMENTED",
                format!(
                    "Agent '{}' model does not support structured output.",
                    self.run.agent.name
                ),
            ));
        }
        loop {
            let index = progress.step;
            let stepped = match self.step(model, progress, wanted.as_deref()).await {
                Ok(stepped) => stepped,
                Err(error) if failure::is_parked(&error) => return Err(error),
                Err(error) => {
                    self.show_step_error(index, &error).await;
                    return Err(error);
                }
            };
            if stepped.termination.is_none() {
                continue;
            }
            let response = stepped.response;
            let Some(wanted) = &wanted else {
                return Ok(RunResult {
                    response,
                    ..RunResult::default()
                });
            };
            let repaired = match wanted.value_of(&response) {
                Ok(value) => Repaired::Value(value),
                Err(unfit) => Box::pin(self.repair(wanted, unfit, &mut progress.repairs)).await?,
            };
            match repaired {
                Repaired::Value(value) => {
                    return Ok(RunResult {
                        response,
                        structured: Some(value),
                        ..RunResult::default()
                    });
                }
                Repaired::AskAgain(prompt) => progress.conversation.push(prompt),
            }
        }
    }

    async fn step(
        &self,
        model: &ModelEntry,
        progress: &mut Progress,
        wanted: Option<&Wanted<'_>>,
    ) -> Result<StepOutcome> {
        let Self { engine, run } = self;
        check_cancelled(run)?;
        let index = progress.step;
        let place = Place {
            step: index,
            ..Place::default()
        };
        let access = engine.access(run, place);
        let Answered { response, calls } = match progress.pending.take() {
            Some(mut answered) => {
                // After a crash, clients may answer any of the calls again.
                for call in &mut answered.calls {
                    call.expect_client(run);
                }
                answered
            }
            // In a box: what comes after it may wait for long.
            None => Box::pin(self.ask(model, &access, progress, wanted)).await?,
        };
        let call_count = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        for call in calls {
            check_cancelled(run)?;
            let mut item = ToolCallItem {
                call_id: call.call_id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
                result: None,
                is_error: false,
            };
            // In a box: most steps call no tool.
            let outcome = Box::pin(tools::execute(engine, run, call, index)).await?;
            progress.say(Item::ToolCall(item.clone()));
            item.result = Some(outcome.result);
            progress.say(Item::ToolCall(item));
        }
        check_cancelled(run)?;
        let termination = self
            .termination(&access, index, call_count, &response)
            .await?;
        progress.step += 1;
        progress.taken_steps = run.lineage.taken_steps();
        if termination.is_none() {
            run.log.checkpoint_with_next(progress)?;
        }
        self.emit(|run, timestamp| Event::StepFinish {
            run_id: run.id.to_string(),
            agent_name: run.agent.name.to_string(),
            step_index: index,
            max_steps: max_steps(run),
            tool_call_count: call_count,
            termination_reason: termination,
            timestamp,
            conversation_id: conversation(run),
        })
        .await?;
        Ok(StepOutcome {
            response,
            termination,
        })
    }

    /// Asks the model; a step with calls can be gone on with from here.
    async fn ask(
        &self,
        model: &ModelEntry,
        access: &Arc<dyn RunServices>,
        progress: &mut Progress,
        wanted: Option<&Wanted<'_>>,
    ) -> Result<Answered> {
        let Self { engine, run } = self;
        let index = progress.step;
        let change = self
            .ask_step_hooks(access, index, &mut progress.conversation)
            .await?;
        self.emit(|run, timestamp| Event::StepStart {
            run_id: run.id.to_string(),
            agent_name: run.agent.name.to_string(),
            step_index: index,
            max_steps: max_steps(run),
            timestamp,
            conversation_id: conversation(run),
        })
        .await?;
        engine
            .pipeline
            .observers()
            .phase_of(access, "step.start", || {
                json!({
                    "stepIndex": index,
                    "maxSteps": max_steps(run),
                    "messageCount": progress.conversation.len(),
                })
            });
        let request = self.model_request(model, &progress.conversation, &change, wanted)?;
        let answered = step::ask_model(engine, run, model, request, index).await?;
        progress.spent = run.spent();
        for item in &answered.response.output {
            if !matches!(item, Item::ToolCall(_)) {
                progress.say(item.clone());
            }
        }
        if answered.calls.is_empty() || !run.log.keeps_marks() {
            return Ok(answered);
        }
        progress.taken_steps = run.lineage.taken_steps();
        progress.pending = Some(answered);
        let marked = run.log.checkpoint_in_step(progress);
        let answered = progress.pending.take();
        marked?;
        answered.ok_or_else(|| Error::internal("the model's answer was lost"))
    }

    fn model_request(
        &self,
        model: &ModelEntry,
        conversation: &[Item],
        change: &StepChange,
        wanted: Option<&Wanted<'_>>,
    ) -> Result<ModelRequest> {
        let run = self.run;
        let instructions = match (&change.instructions, &run.agent.instructions) {
            (Some(changed), _) => Some(changed.clone()),
            (None, None) => None,
            (None, Some(template)) => {
                let context = run.request.context.as_ref().unwrap_or(&Value::Null);
                let rendered = template.render([("context", context)]);
                Some(rendered.map_err(|error| failure::of_template(&run.agent.name, &error))?)
            }
        };
        let mut input = Vec::with_capacity(conversation.len() + 1);
        input.extend(instructions.map(|text| Item::message("system", text)));
        input.extend_from_slice(conversation);
        let mut request = ModelRequest::new(input);
        if model.info().capabilities.tools {
            let is_active = |tool: &&Arc<ToolEntry>| {
                change
                    .active_tools
                    .as_ref()
                    .is_none_or(|names| names.contains(&tool.info.name))
            };
            request.tools = run
                .agent
                .tools
                .iter()
                .filter(is_active)
                .map(|tool| tool.spec.clone())
                .collect();
            request.tool_choice = change.tool_choice.clone().unwrap_or_default();
        }
        request.structured_output = wanted.map(Wanted::for_model);
        request.modalities = run.request.modalities.clone().unwrap_or_default();
        request.options = model.with_defaults(run.agent.model_options.clone());
        if let Some(own) = &run.request.model_options {
            models::merge(&mut request.options, own);
        }
        Ok(request)
    }

    async fn ask_step_hooks(
        &self,
        access: &Arc<dyn RunServices>,
        index: u32,
        conversation: &mut Vec<Item>,
    ) -> Result<StepChange> {
        if !self.engine.pipeline.has(Stage::Step) {
            return Ok(StepChange::default());
        }
        self.run.log.flush();
        let limit = max_steps(self.run);
        let mut state = (StepChange::default(), std::mem::take(conversation));
        let take = |(change, messages): &mut (StepChange, Vec<Item>), answer: StepChange| {
            if let Some(changed) = answer.messages {
                *messages = changed;
            }
            change.instructions = answer.instructions.or(change.instructions.take());
            change.tool_choice = answer.tool_choice.or(change.tool_choice.take());
            change.active_tools = answer.active_tools.or(change.active_tools.take());
            true
        };
        let input = |(_, messages): &(StepChange, Vec<Item>)| {
            let mut input = StepInput::new(messages.clone());
            input.step_index = index;
            input.max_steps = limit;
            to_json(&input)
        };
        let asked = self
            .engine
            .pipeline
            .ask(Stage::Step, access, &mut state, input, take)
            .await;
        let (change, messages) = state;
        *conversation = messages;
        asked.map(|()| change)
    }

    async fn termination(
        &self,
        access: &Arc<dyn RunServices>,
        index: u32,
        call_count: u32,
        response: &ModelResponse,
    ) -> Result<Option<TerminationReason>> {
        if call_count == 0 {
            return Ok(Some(TerminationReason::NoToolCalls));
        }
        if self.engine.pipeline.has(Stage::StepEnd)
            && Box::pin(self.is_stopped(access, index, call_count, response)).await?
        {
            return Ok(Some(TerminationReason::StopWhen));
        }
        // The steps of the run and of its parts are one budget.
        let is_last = max_steps(self.run).is_some_and(|limit| index + 1 >= limit)
            || !self.run.lineage.take_step();
        Ok(is_last.then_some(TerminationReason::MaxSteps))
    }

    /// Whether a hook ends the loop after this step.
    async fn is_stopped(
        &self,
        access: &Arc<dyn RunServices>,
        index: u32,
        call_count: u32,
        response: &ModelResponse,
    ) -> Result<bool> {
        self.run.log.flush();
        let mut ended = StepEnded::new(response.clone());
        ended.step_index = index;
        ended.tool_call_count = call_count;
        let mut answer = StepEndAnswer::Continue;
        let take = |kept: &mut StepEndAnswer, answer| {
            *kept = answer;
            *kept == StepEndAnswer::Continue
        };
        let pipeline = &self.engine.pipeline;
        pipeline
            .ask(
                Stage::StepEnd,
                access,
                &mut answer,
                |_| to_json(&ended),
                take,
            )
            .await?;
        Ok(answer == StepEndAnswer::Stop)
    }

    /// What becomes of invalid structured output.
    async fn repair(
        &self,
        wanted: &Wanted<'_>,
        unfit: Box<Unfit>,
        repairs: &mut u32,
    ) -> Result<Repaired> {
        *repairs += 1;
        if *repairs > self.run.agent.repairs {
            return Err(unfit.error);
        }
        let mut failed = OutputFailed::new(unfit.text.clone(), unfit.issues.clone());
        failed.error_kind = unfit.kind.into();
        failed.attempt = *repairs;
        let access = self.engine.access(self.run, Place::default());
        let mut answer = OutputErrorAnswer::Continue;
        let take = |kept: &mut OutputErrorAnswer, answer| {
            *kept = answer;
            *kept == OutputErrorAnswer::Continue
        };
        let pipeline = &self.engine.pipeline;
        pipeline
            .ask(
                Stage::OutputError,
                &access,
                &mut answer,
                |_| to_json(&failed),
                take,
            )
            .await?;
        let repaired = match answer {
            OutputErrorAnswer::Throw => return Err(unfit.error),
            OutputErrorAnswer::Continue => {
                return Ok(Repaired::AskAgain(structured::repair_prompt(&unfit)));
            }
            OutputErrorAnswer::RepairText(text) => wanted.parse(text),
            OutputErrorAnswer::RepairValue(value) => wanted.check(value, unfit.text),
        };
        repaired.map(Repaired::Value).map_err(|unfit| unfit.error)
    }

    // === coded agents ===

    async fn run_coded(
        &self,
        agent: &Arc<dyn AgentCapability>,
        progress: &Progress,
    ) -> Result<RunResult> {
        let access = self.engine.access(self.run, Place::default());
        let running = agent.run(access, &progress.conversation);
        stoppable(self.engine, self.run, running).await
    }

    // === the end ===

    /// What hooks leave of a result; that of a coded agent is checked and stored as they leave it.
    async fn settle(&self, result: &mut RunResult, progress: &mut Progress) -> Result<()> {
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
        if let (Some(output), Some(value)) = (&self.run.agent.output, &result.structured) {
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
    fn conversation_key(&self) -> Option<ConversationKey> {
        let Self { engine, run } = self;
        let id = run.conversation_id()?;
        let is_kept = engine.store.keeps().conversations;
        is_kept.then(|| ConversationKey::new(&run.owner, &run.agent.name, id))
    }

    /// The conversation with what was there, what the client sent, and what was said.
    async fn conversation_to_save(
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

    async fn show_step_error(&self, index: u32, error: &Error) {
        let error = if self.run.cancel.is_cancelled() {
            failure::aborted(Some(error.clone()), &self.run.id)
        } else {
            failure::of_step(error)
        };
        let shown = self
            .emit(|run, timestamp| Event::StepError {
                run_id: run.id.to_string(),
                agent_name: run.agent.name.to_string(),
                step_index: index,
                max_steps: max_steps(run),
                error: crate::problem::problem(&error),
                timestamp,
                conversation_id: conversation(run),
            })
            .await;
        if let Err(error) = shown {
            tracing::error!(run_id = &*self.run.id, %error, "an event was not shown");
        }
    }

    /// Shows the end of the run, ends its log, and says what it came to.
    async fn end(&self, worked: Result<Worked>) -> Result<RunResult> {
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
        let failed = if run.cancel.is_cancelled() {
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
    }

    fn close(&self, failure: Option<String>) {
        // Before readers see the end: a conversation whose stream has ended has no active run.
        self.engine.active.remove(self.run);
        self.run.log.end(failure);
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

enum Repaired {
    Value(Value),
    AskAgain(Item),
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

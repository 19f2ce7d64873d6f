//! What every run shares, and how an event is shown.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::{Error, Event, Principal, Result, Stage};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::access::{Place, RunAccess};
use super::active::{ActiveRun, ActiveRuns};
use super::agents::AgentKind;
use super::lineage;
use super::log::Turn;
use super::quota::Quotas;
use super::roster::Roster;
use super::usage::Prices;
use crate::clock::Clock;
use crate::config;
use crate::ids::Ids;
use crate::ledger::Ledger;
use crate::metrics::{AgentMeters, Metrics, RunEnded};
use crate::pipeline::{Held, Pipeline, Processed};
use crate::plugin::capability::RunServices;
use crate::shutdown::Tasks;
use crate::store::{AnswerKind, AuditRecord, ConversationSave, Finish, Finished, RunState, Store};

/// What every run shares.
pub(crate) struct Engine {
    pub(crate) agents: Roster,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Metrics,
    /// Of each agent; empty where nothing is counted.
    pub(crate) agent_meters: HashMap<Arc<str>, AgentMeters>,
    pub(crate) limits: config::Runs,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) tasks: Tasks,
    pub(crate) active: ActiveRuns,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) prices: Prices,
    /// `None` where nobody has one.
    pub(crate) quotas: Option<Quotas>,
    /// The server stops: runs that wait are left to the next start.
    pub(crate) parking: CancellationToken,
    /// Jobs were enqueued, began or ended.
    pub(crate) job_news: watch::Sender<()>,
}

/// How a run ends.
pub(crate) struct End {
    pub(crate) state: RunState,
    pub(crate) conversation: Option<ConversationSave>,
}

// === impl Engine ===

impl Engine {
    /// What a plugin may ask in this run.
    pub(crate) fn access(
        self: &Arc<Self>,
        run: &Arc<ActiveRun>,
        place: Place,
    ) -> Arc<dyn RunServices> {
        Arc::new(RunAccess::new(Arc::clone(self), Arc::clone(run), place))
    }

    /// What is counted of an agent.
    pub(crate) fn meters_of(&self, agent: &str) -> AgentMeters {
        self.agent_meters.get(agent).cloned().unwrap_or_default()
    }

    pub(crate) fn count_end(&self, run: &ActiveRun, end: RunEnded) {
        let lived = || self.clock.now_millis().saturating_sub(run.created_at);
        run.meters.run_ended(end, lived);
    }

    /// Brings up to date what is not counted as it happens.
    pub(crate) fn measure(&self) {
        self.metrics
            .set_store_failing(self.store.failure().is_some());
        let mut alive: HashMap<Arc<str>, (usize, usize)> = HashMap::new();
        for run in self
            .active
            .all()
            .iter()
            .filter(|run| !run.lineage.is_part())
        {
            let (running, waiting) = alive.entry(Arc::clone(&run.agent.name)).or_default();
            *running += 1;
            *waiting += usize::from(run.waits());
        }
        for (agent, meters) in &self.agent_meters {
            let (running, waiting) = alive.get(agent).copied().unwrap_or_default();
            meters.set_alive(running, waiting);
        }
    }

    /// Waits until a run is to be parked; for ever where it could not go on after that.
    pub(crate) async fn parked(&self, run: &ActiveRun) {
        if run.log.keeps_marks() && matches!(run.agent.kind, AgentKind::Declared(_)) {
            self.parking.cancelled().await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Remembers what somebody decided or did.
    pub(crate) fn audit(
        &self,
        action: &'static str,
        principal: &Arc<Principal>,
        run_id: Option<&Arc<str>>,
        detail: Value,
    ) {
        tracing::info!(
            target: "mortise::audit",
            action,
            tenant = principal.tenant,
            subject = principal.subject,
            run_id = run_id.map(|run_id| &**run_id),
            %detail,
            "audit"
        );
        self.store.audit(AuditRecord {
            at: self.clock.now_millis(),
            principal: Arc::clone(principal),
            action,
            run_id: run_id.map(Arc::clone),
            detail,
        });
    }

    /// Whether it is stored that there was such a run. In memory only those are that somebody may
    /// come back to, so that they are not driven out by the others.
    pub(crate) fn is_recorded(&self, run: &ActiveRun) -> bool {
        !run.lineage.is_part()
            && (run.keeps_last_words()
                || run.request.conversation_id.is_some()
                || self.store.is_durable())
    }

    /// Whether anybody sees the events of a run: its client, a hook, an observer.
    pub(crate) fn is_watched(&self, run: &ActiveRun) -> bool {
        run.answer == AnswerKind::Stream
            || self.pipeline.has(Stage::Event)
            || self.pipeline.observers().want_events()
    }

    /// Shows an event: hooks may change it, it is appended to the log, observers are told.
    pub(crate) async fn emit(self: &Arc<Self>, run: &Arc<ActiveRun>, event: Event) -> Result<()> {
        // Whatever not every event needs is in a box: a run has room for all that it might do.
        if self.pipeline.has(Stage::Event) {
            return Box::pin(self.emit_processed(run, event)).await;
        }
        if self.append(run, event)? == Turn::IsOver {
            Box::pin(run.log.next_turn()).await;
        }
        Ok(())
    }

    async fn emit_processed(self: &Arc<Self>, run: &Arc<ActiveRun>, event: Event) -> Result<()> {
        // One event at a time: what hooks hold back keeps its place.
        let mut held = run.emission.lock().await;
        for event in self.process(run, event, &mut held).await? {
            if self.append(run, event)? == Turn::IsOver {
                run.log.next_turn().await;
            }
        }
        Ok(())
    }

    /// Stores the end of a run together with its last event and its conversation, and shows it;
    /// hooks may change the event.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        run: &Arc<ActiveRun>,
        event: Event,
        end: End,
    ) -> Result<Finished> {
        let events = if self.pipeline.has(Stage::Event) {
            let mut held = run.emission.lock().await;
            Box::pin(self.process(run, event, &mut held)).await?
        } else {
            vec![event]
        };
        self.finish_with(run, events, end).await
    }

    /// The same with these last events, as they are.
    pub(crate) async fn finish_with(
        self: &Arc<Self>,
        run: &Arc<ActiveRun>,
        events: Vec<Event>,
        end: End,
    ) -> Result<Finished> {
        let is_kept = run.keeps_last_words();
        let last_words = if is_kept {
            Some(run.log.last_words(&events)?)
        } else {
            None
        };
        let has_conversation = end.conversation.is_some();
        let finish = Finish {
            state: end.state,
            ended_at: self.clock.now_millis(),
            usage: match end.state {
                RunState::Finished => Some(run.spent().total()),
                _ => run.spent().total_if_any(),
            },
            last_words: last_words.clone(),
            conversation: end.conversation,
        };
        let finished = if is_kept || has_conversation {
            self.store.finish_run(&run.id, finish).await?
        } else {
            // Nothing depends on how a run is remembered that showed no events and saved nothing.
            if self.is_recorded(run) {
                self.store.end_run(&run.id, finish);
            }
            Finished::Won
        };
        if finished == Finished::Won {
            for event in events {
                if run.lineage.is_part() {
                    // The parent goes on, and waits if it must.
                    let _ = self.append(run, event)?;
                } else {
                    self.observe(run, event);
                }
            }
            run.log.show_last_words(last_words);
        }
        Ok(finished)
    }

    /// Shows the end of a run that the store does not take, which gets it as soon as it does.
    pub(crate) fn end_unstored(&self, run: &ActiveRun, events: &[Event], state: RunState) {
        let kept = run.keeps_last_words();
        let last_words = kept.then(|| run.log.last_words(events)).and_then(|it| {
            it.inspect_err(
                |error| tracing::error!(run_id = &*run.id, %error, "an event is no JSON"),
            )
            .ok()
        });
        run.log.show_last_words(last_words.clone());
        if self.is_recorded(run) {
            let finish = Finish {
                state,
                ended_at: self.clock.now_millis(),
                usage: run.spent().total_if_any(),
                last_words,
                conversation: None,
            };
            self.store.end_run(&run.id, finish);
        }
    }

    /// The run is over: nobody finds it any more, readers see its end, and what waits for
    /// [`cancel`](ActiveRun::cancel) in a plugin ends with it. A second time changes nothing.
    pub(crate) fn close(&self, run: &Arc<ActiveRun>, failure: Option<String>) {
        // Before readers see the end: a conversation whose stream has ended has no active run.
        self.active.remove(run);
        run.log.end(failure);
        // Last: a run that is cancelled before its end was aborted.
        run.cancel.cancel();
    }

    /// The event that a failed run ends with.
    pub(crate) fn run_error(&self, run: &ActiveRun, error: &Error) -> Event {
        let (id, agent) = (&run.id, &run.agent.name);
        let mut event = self.run_error_event(id, agent, run.conversation_id(), error);
        // No client sees the events of a JSON run; whoever repeats its request is to read the same.
        if let Event::RunError { error: problem, .. } = &mut event
            && run.answer == AnswerKind::Json
            && !error.issues().is_empty()
        {
            problem["issues"] = json!(error.issues());
        }
        event
    }

    pub(crate) fn run_error_event(
        &self,
        run_id: &str,
        agent: &str,
        conversation_id: Option<&str>,
        error: &Error,
    ) -> Event {
        Event::RunError {
            run_id: run_id.to_owned(),
            agent_name: agent.to_owned(),
            error: crate::problem::problem(error),
            timestamp: self.clock.now_millis(),
            conversation_id: conversation_id.map(str::to_owned),
        }
    }

    /// What hooks make of an event.
    async fn process(
        self: &Arc<Self>,
        run: &Arc<ActiveRun>,
        event: Event,
        held: &mut Held,
    ) -> Result<Vec<Event>> {
        // Hooks may take their time.
        run.log.flush();
        let place = Place {
            in_event_stage: true,
            ..Place::default()
        };
        let access = self.access(run, place);
        match self.pipeline.process(&access, event, held).await? {
            Processed::Show(events) => Ok(events),
            Processed::Abort(reason) => {
                run.cancel.cancel();
                Err(Error::aborted(reason))
            }
        }
    }

    fn append(self: &Arc<Self>, run: &Arc<ActiveRun>, event: Event) -> Result<Turn> {
        let turn = match run.answer {
            AnswerKind::Stream => run.log.append(&*lineage::shown(run, &event))?,
            AnswerKind::Json => Turn::GoesOn,
        };
        self.observe(run, event);
        Ok(turn)
    }

    fn observe(self: &Arc<Self>, run: &Arc<ActiveRun>, event: Event) {
        let observers = self.pipeline.observers();
        if observers.wants(event.kind()) {
            let access = self.access(run, Place::default());
            observers.event(&access, &Arc::new(event));
        }
    }
}

//! The runtime: every run of this server, whoever started it.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::{Error, Principal, RunResult};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::active::{ActiveRun, Beginning, ClientResult, Decision};
use super::agents::{AgentKind, AgentSpec};
use super::alias::Named;
use super::api::{
    AgentSummary, Awaited, Caller, Conversation, Resume, RunOutcome, RunRequest, Streamed,
    ToolSummary, Watched,
};
use super::driver::{self, Begin};
use super::engine::Engine;
use super::log::EventLog;
use super::quota;
use super::reader::Reader;
use super::usage::Spent;
use crate::config::OnRequestDisconnect;
use crate::metrics::{Metrics, RunEnded};
use crate::store::{
    AnswerKind, Begun, Booking, ConversationKey, Finish, RunState, StoreError, StoredRun, Used,
};

/// Every run of this server, as far as whoever holds this may reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runtime {
    pub(super) engine: Arc<Engine>,
    reach: Reach,
}

/// What may be found through a [`Runtime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Exposed agents, and the runs of the principal that asks: what clients may.
    Own,
    /// Every agent and every run: code of this process is as trusted as the server.
    Everything,
}

// === impl Runtime ===

impl Runtime {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(engine),
            reach: Reach::Own,
        }
    }

    /// The same runs for code that is as trusted as the server: every agent, and every run by its
    /// id, whoever owns it.
    pub(crate) fn unrestricted(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            reach: Reach::Everything,
        }
    }

    /// The same runs for a client: exposed agents, and what its principal owns.
    pub(crate) fn restricted(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            reach: Reach::Own,
        }
    }

    /// The exposed agents, in the order of their names.
    pub(crate) fn agents(&self) -> Vec<AgentSummary> {
        self.engine.agents.now().summaries()
    }

    /// The tools that clients may call themselves, by their names.
    pub(crate) fn tool_endpoints(&self) -> Vec<ToolSummary> {
        self.engine.agents.now().endpoint_summaries()
    }

    /// Says which tools are named and not there, of those that come and go.
    pub(crate) fn warn_of_missing_tools(&self) {
        self.engine.agents.warn_of_missing();
    }

    /// Runs and waits; dropping the future aborts the run.
    pub(crate) async fn run(
        &self,
        agent: &str,
        request: RunRequest,
        caller: Caller,
    ) -> RunOutcome<RunResult> {
        let agent = self.agent(agent)?;
        self.run_spec(agent, request, caller).await
    }

    /// Starts a streamed run. Fails only for an unknown agent and a quota that is used up; everything
    /// else comes in the stream.
    pub(crate) async fn stream(
        &self,
        agent: &str,
        request: RunRequest,
        caller: Caller,
    ) -> RunOutcome<Streamed> {
        let agent = self.agent(agent)?;
        self.admit(&caller.principal).await?;
        let run = self.new_run(agent, request, caller, AnswerKind::Stream);
        Ok(self.begin_stream(run).await)
    }

    /// Begins a streamed run that was admitted.
    pub(super) async fn begin_stream(&self, run: Arc<ActiveRun>) -> Streamed {
        self.enter(&run);
        let on_gone = self.watch_client(&run);
        let reader = Reader::live(Arc::clone(&run.log), on_gone);
        let streamed = Streamed {
            run_id: Arc::clone(&run.id),
            reader,
            usage: Arc::clone(&run.usage),
        };
        self.start(run, Begin::Anew, None).await;
        streamed
    }

    /// Starts a streamed run for code of this process. Fails only for an unknown agent and a quota
    /// that is used up.
    pub(crate) async fn watch(
        &self,
        agent: &str,
        request: RunRequest,
        caller: Caller,
    ) -> RunOutcome<Watched> {
        let agent = self.agent(agent)?;
        self.admit(&caller.principal).await?;
        let run = self.new_run(agent, request, caller, AnswerKind::Stream);
        self.enter(&run);
        let watched = Watched {
            run_id: Arc::clone(&run.id),
            reader: Reader::live(Arc::clone(&run.log), None),
            gone: self.watch_client(&run),
            result: {
                let (sender, receiver) = oneshot::channel();
                self.start(run, Begin::Anew, Some(sender)).await;
                receiver
            },
        };
        Ok(watched)
    }

    /// The agent of a run, whoever owns it; `None` where there is no such run.
    pub(crate) async fn agent_of(&self, run_id: &str) -> RunOutcome<Option<Arc<str>>> {
        let run_id = match self.named(run_id).await? {
            Named::Run(run_id) => run_id,
            Named::Unbegun(job) => return Ok(Some(job.job.agent.into())),
        };
        if let Some(run) = self.engine.active.get(&run_id) {
            return Ok(Some(Arc::clone(&run.agent.name)));
        }
        let stored = self.engine.store.run(&run_id).await?;
        Ok(stored.map(|run| run.agent))
    }

    /// Aborts a run of this principal; whether there was one. That of a job ends the job.
    pub(crate) async fn abort(&self, run_id: &str, principal: &Arc<Principal>) -> RunOutcome<bool> {
        if let Some(job) = self.job_of_alias(run_id).await? {
            let is_own = self.reaches(&job.job.principal, principal);
            return Ok(is_own && self.cancel_job(&job.job.id, principal).await?);
        }
        let Some(run) = self.active(run_id, principal) else {
            return Ok(false);
        };
        run.cancel.cancel();
        self.engine
            .audit("abort", principal, Some(&run.id), Value::Null);
        Ok(true)
    }

    /// Answers a client tool; whether the call was pending.
    pub(crate) async fn submit_tool_result(
        &self,
        run_id: &str,
        call_id: &str,
        result: ClientResult,
        principal: &Principal,
    ) -> RunOutcome<bool> {
        let run_id = self.run_named(run_id).await?;
        let run = self.active(&run_id, principal);
        match run.and_then(|run| run.waiting_for(call_id)) {
            Some(run) => run.submit_result(call_id, result).await,
            None => Ok(false),
        }
    }

    /// Decides on an approval; whether it was pending.
    pub(crate) async fn submit_approval(
        &self,
        run_id: &str,
        call_id: &str,
        decision: Decision,
        principal: &Arc<Principal>,
    ) -> RunOutcome<bool> {
        let run = self.engine.active.get(&self.run_named(run_id).await?);
        let Some(run) = run.and_then(|run| run.waiting_for(call_id)) else {
            return Ok(false);
        };
        let Some(tool) = run.pending_tool(call_id) else {
            return Ok(false);
        };
        if self.reach == Reach::Own && !run.may_decide(&tool, principal) {
            return Ok(false);
        }
        let action = if decision.approved { "approve" } else { "deny" };
        let detail = json!({
            "toolCallId": call_id,
            "toolName": tool.info.name,
            "actorId": decision.actor_id,
            "note": decision.note,
        });
        let remember = || self.engine.audit(action, principal, Some(&run.id), detail);
        run.submit_decision(call_id, decision, remember).await
    }

    /// The stored items; `NOT_FOUND` for an unknown agent.
    pub(crate) async fn conversation(
        &self,
        agent: &str,
        id: &str,
        principal: &Principal,
    ) -> RunOutcome<Conversation> {
        let agent = self.agent(agent)?;
        let key = ConversationKey::new(principal, &agent.name, id);
        let stored = self.engine.store.load_conversation(&key).await?;
        Ok(stored.map(|stored| stored.items.to_vec()))
    }

    /// The log of a run after a cursor, then live.
    pub(crate) async fn resume_stream(
        &self,
        run_id: &str,
        after: Option<u64>,
        principal: &Principal,
    ) -> RunOutcome<Resume> {
        let store = &self.engine.store;
        if !store.keeps().streams {
            return Ok(Resume::NoStore);
        }
        let run_id = &*match self.named(run_id).await? {
            Named::Run(run_id) => run_id,
            Named::Unbegun(job) if self.reaches(&job.job.principal, principal) => {
                let reader = self.engine.reader_of_job(job.job.id, after);
                return Ok(Resume::Reader(reader));
            }
            Named::Unbegun(_) => return Ok(Resume::Unknown),
        };
        if let Some(run) = self.active(run_id, principal) {
            return Ok(
                if run.answer == AnswerKind::Stream && !run.lineage.is_part() {
                    Resume::Reader(Reader::resumed(Arc::clone(&run.log), after))
                } else {
                    Resume::Unknown
                },
            );
        }
        let stored = store.run(run_id).await?;
        Ok(match stored {
            Some(run)
                if run.answer == AnswerKind::Stream && self.reaches(&run.owner, principal) =>
            {
                Resume::Reader(self.engine.stored_reader(&run, after))
            }
            _ => Resume::Unknown,
        })
    }

    /// The active run of a conversation, `None` where there is none; `NOT_FOUND` for an unknown
    /// agent.
    pub(crate) fn resume_conversation(
        &self,
        agent: &str,
        id: &str,
        after: Option<u64>,
        principal: &Principal,
    ) -> RunOutcome<Option<Reader>> {
        let agent = self.agent(agent)?;
        let keeps = self.engine.store.keeps();
        if !keeps.streams || !keeps.runtime_state {
            return Ok(None);
        }
        let run = self
            .engine
            .active
            .of_conversation(&agent.name, id, principal);
        Ok(run.map(|run| Reader::resumed(Arc::clone(&run.log), after)))
    }

    /// Why nothing can be stored at present, where that is so.
    pub(crate) fn store_failure(&self) -> Option<StoreError> {
        self.engine.store.failure()
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.engine.metrics
    }

    /// Brings up to date what is not counted as it happens.
    pub(crate) fn measure(&self) {
        self.engine.measure();
    }

    /// Leaves the runs that wait, where they can go on later, to the next start.
    pub(crate) fn park_all(&self) {
        self.engine.parking.cancel();
    }

    /// Aborts every run: the server stops.
    pub(crate) fn abort_all(&self) {
        self.engine.active.abort_all();
    }

    pub(super) async fn run_spec(
        &self,
        agent: Arc<AgentSpec>,
        request: RunRequest,
        caller: Caller,
    ) -> RunOutcome<RunResult> {
        self.admit(&caller.principal).await?;
        let run = self.new_run(agent, request, caller, AnswerKind::Json);
        self.begin_json(run).await.answer().await
    }

    /// Begins a run that was admitted and answers with JSON.
    pub(super) async fn begin_json(&self, run: Arc<ActiveRun>) -> Awaited {
        self.enter(&run);
        let (sender, answer) = oneshot::channel();
        let gone = run.cancel.clone().drop_guard();
        self.start(run, Begin::Anew, Some(sender)).await;
        Awaited { gone, answer }
    }

    /// A streamed run that a plugin asks for; nobody's disconnect ends it.
    pub(super) async fn start_spec(
        &self,
        agent: Arc<AgentSpec>,
        request: RunRequest,
        caller: Caller,
    ) -> RunOutcome<Arc<str>> {
        self.admit(&caller.principal).await?;
        let run = self.new_run(agent, request, caller, AnswerKind::Stream);
        self.enter(&run);
        let run_id = Arc::clone(&run.id);
        self.start(run, Begin::Anew, None).await;
        Ok(run_id)
    }

    /// Takes a run of what its owner may begin today; one with a key is taken with its key.
    pub(super) async fn admit(&self, owner: &Principal) -> RunOutcome<()> {
        match &self.engine.quotas {
            Some(quotas) => {
                let now = self.engine.clock.now_millis();
                Box::pin(quotas.admit(owner, &*self.engine.store, now)).await
            }
            None => Ok(()),
        }
    }

    /// The agent of this name, if it may be reached.
    pub(super) fn agent(&self, name: &str) -> RunOutcome<Arc<AgentSpec>> {
        self.engine
            .agents
            .now()
            .get(name)
            .filter(|agent| agent.exposed || self.reach == Reach::Everything)
            .cloned()
            .ok_or_else(|| unknown_agent(name))
    }

    /// The run, if it is alive and may be reached.
    pub(super) fn active(&self, run_id: &str, principal: &Principal) -> Option<Arc<ActiveRun>> {
        let run = self.engine.active.get(run_id)?;
        self.reaches(&run.owner, principal).then_some(run)
    }

    pub(super) fn reaches(&self, owner: &Principal, principal: &Principal) -> bool {
        self.reach == Reach::Everything || owner == principal
    }

    /// A run that has not begun: nobody knows of it yet.
    pub(super) fn new_run(
        &self,
        agent: Arc<AgentSpec>,
        request: RunRequest,
        caller: Caller,
        answer: AnswerKind,
    ) -> Arc<ActiveRun> {
        let engine = &self.engine;
        let id = match &request.claimed_id {
            Some(id) => Arc::clone(id),
            None => engine.ids.run().into(),
        };
        let store = engine
            .store
            .keeps()
            .streams
            .then(|| Arc::clone(&engine.store));
        let log = EventLog::new(
            Arc::clone(&id),
            store.filter(|_| answer == AnswerKind::Stream),
            engine.limits.event_queue,
        );
        let created_at = engine.clock.now_millis();
        ActiveRun::new(Beginning {
            id,
            meters: engine.meters_of(&agent.name),
            agent: agent.for_context(request.context.as_ref()),
            request,
            answer,
            caller,
            created_at,
            log,
            parent: None,
            progress: HashMap::new(),
            spent: Spent::default(),
        })
    }

    /// From here on the run is found, and counts.
    pub(super) fn enter(&self, run: &Arc<ActiveRun>) {
        let engine = &self.engine;
        run.meters.run_started();
        engine.active.insert(run);
        engine.store.book(Booking {
            owner: Arc::clone(&run.owner),
            day: quota::day(run.created_at),
            used: Used {
                runs: 1,
                ..Used::default()
            },
        });
        if engine.is_recorded(run) {
            let (run, request) = begun(run);
            engine.store.open_run(run, request);
        }
    }

    /// Does something to its end, also when whoever asks for it goes.
    pub(crate) fn complete<T: Send + 'static>(
        &self,
        future: impl Future<Output = RunOutcome<T>> + Send + 'static,
    ) -> impl Future<Output = RunOutcome<T>> + Send {
        let future = future.instrument(tracing::Span::current());
        let completed = self.engine.tasks.complete(future);
        async move {
            let completed = completed.await;
            completed.unwrap_or_else(|| Err(Error::unavailable("The server is stopping.")))
        }
    }

    /// Does a run: most short ones never wait, and cost no switch of tasks.
    pub(super) async fn start(
        &self,
        run: Arc<ActiveRun>,
        begin: Begin,
        answer: Option<oneshot::Sender<RunOutcome<RunResult>>>,
    ) {
        let engine = Arc::clone(&self.engine);
        let span = tracing::Span::current();
        let task = async move {
            let _last = LastResort {
                engine: Arc::clone(&engine),
                run: Arc::clone(&run),
            };
            let result = driver::drive(&engine, &run, begin).await;
            // Nobody may be waiting any more: the client has gone.
            if let Some(answer) = answer {
                let _ = answer.send(result);
            }
        };
        self.engine.tasks.begin(task.instrument(span)).await;
    }

    /// The client that watched a run has gone.
    pub(super) fn leave(&self, run_id: &str) {
        let run = self.engine.active.get(run_id);
        if let Some(gone) = run.and_then(|run| self.watch_client(&run)) {
            gone.cancel();
        }
    }

    /// What fires when the client of a streamed run goes, and what that means.
    fn watch_client(&self, run: &Arc<ActiveRun>) -> Option<CancellationToken> {
        match self.engine.limits.on_request_disconnect {
            OnRequestDisconnect::Continue => None,
            OnRequestDisconnect::Abort => Some(run.cancel.clone()),
        }
    }
}

/// What is stored of a run that begins.
pub(super) fn begun(run: &ActiveRun) -> Begun {
    let stored = StoredRun {
        id: Arc::clone(&run.id),
        owner: Arc::clone(&run.owner),
        agent: Arc::clone(&run.agent.name),
        conversation_id: run.request.conversation_id.clone(),
        answer: run.answer,
        created_at: run.created_at,
        state: RunState::Running,
        ended_at: None,
        usage: None,
    };
    (stored, stored_request(run))
}

/// What a run needs to go on after a crash, where it can.
fn stored_request(run: &ActiveRun) -> Option<String> {
    let can_go_on = run.log.keeps_marks() && matches!(run.agent.kind, AgentKind::Declared(_));
    if !can_go_on {
        return None;
    }
    match serde_json::to_string(&run.request) {
        Ok(request) => Some(request),
        Err(error) => {
            tracing::error!(run_id = &*run.id, %error, "a request is no JSON");
            None
        }
    }
}

/// Ends a run whose task was lost, to a panic or to the end of the server: nobody waits for ever.
/// After an end in order it changes nothing.
struct LastResort {
    engine: Arc<Engine>,
    run: Arc<ActiveRun>,
}

impl Drop for LastResort {
    fn drop(&mut self) {
        let Self { engine, run } = self;
        if run.log.has_ended() {
            return;
        }
        engine.count_end(run, RunEnded::Failed);
        let failed = Error::internal("Run failed: Run stream step failed");
        let last_words = run.log.last_words(&[engine.run_error(run, &failed)]);
        let last_words = last_words.ok().filter(|_| run.keeps_last_words());
        let finish = Finish {
            state: RunState::Failed,
            ended_at: engine.clock.now_millis(),
            usage: run.spent().total_if_any(),
            last_words: last_words.clone(),
            conversation: None,
        };
        engine.store.end_run(&run.id, finish);
        run.log.show_last_words(last_words);
        engine.close(run, Some(failed.message().to_owned()));
    }
}

/// The error for an agent that is not there, or is not exposed.
pub(super) fn unknown_agent(name: &str) -> Error {
    Error::not_found(format!("Agent '{name}' does not exist.")).with_context("agentName", name)
}

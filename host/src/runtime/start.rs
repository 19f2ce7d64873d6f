//! How a run begins, and who ends it if its task is lost.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::{Error, Principal, RunResult};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::active::{ActiveRun, Beginning};
use super::agents::{AgentKind, AgentSpec};
use super::api::{Awaited, Caller, RunOutcome, RunRequest, Streamed, Watched};
use super::driver::{self, Begin};
use super::engine::Engine;
use super::log::EventLog;
use super::quota;
use super::reader::Reader;
use super::service::Runtime;
use super::usage::Spent;
use crate::config::OnRequestDisconnect;
use crate::metrics::RunEnded;
use crate::store::{AnswerKind, Begun, Booking, Finish, RunState, StoredRun, Used};

/// Ends a run whose task was lost, to a panic or to the end of the server: nobody waits for ever.
/// After an end in order it changes nothing.
struct LastResort {
    engine: Arc<Engine>,
    run: Arc<ActiveRun>,
}

// === impl Runtime ===

impl Runtime {
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

// === impl LastResort ===

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

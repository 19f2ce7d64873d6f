//! Runs that are alive: who owns them, how to stop them, what they wait for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mortise_plugin_api::{Error, Principal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::agents::{AgentSpec, ToolEntry};
use super::api::{Caller, RunRequest, RunUsage};
use super::checkpoint::{CallMark, CallProgress, Happened, RequestedApproval};
use super::engine::Engine;
use super::lineage::Lineage;
use super::log::EventLog;
use super::usage::Spent;
use crate::metrics::AgentMeters;
use crate::pipeline::Held;
use crate::store::AnswerKind;

/// What a client says of its tool: a result, or why there is none.
pub(crate) type ClientResult = Result<Value, String>;

/// A decision on an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) approved: bool,
    pub(crate) note: Option<String>,
    pub(crate) actor_id: Option<String>,
}

/// The scope that lets somebody decide on the approvals of others of the same tenant.
const APPROVE: &str = "runs:approve";

/// A run that is alive.
pub(crate) struct ActiveRun {
    pub(crate) id: Arc<str>,
    pub(crate) agent: Arc<AgentSpec>,
    pub(crate) request: RunRequest,
    pub(crate) answer: AnswerKind,
    pub(crate) owner: Arc<Principal>,
    pub(crate) request_id: Arc<str>,
    /// In milliseconds since 1970.
    pub(crate) created_at: u64,
    pub(crate) cancel: CancellationToken,
    pub(crate) log: Arc<EventLog>,
    pub(crate) usage: RunUsage,
    /// Those of its agent.
    pub(crate) meters: AgentMeters,
    spent: Mutex<Spent>,
    /// Held while an event is shown: what hooks hold back.
    pub(crate) emission: tokio::sync::Mutex<Held>,
    /// Whose part it is, and what it shares with the other parts of one run.
    pub(crate) lineage: Lineage,
    /// The job that it is an attempt at, once a worker follows it.
    pub(crate) job: OnceLock<String>,
    waiting: Mutex<Waiting>,
    /// What had happened to the calls of a run that goes on after a crash.
    progress: Mutex<HashMap<String, CallProgress>>,
}

/// What a run begins with.
pub(crate) struct Beginning {
    pub(crate) id: Arc<str>,
    pub(crate) agent: Arc<AgentSpec>,
    pub(crate) request: RunRequest,
    pub(crate) answer: AnswerKind,
    pub(crate) caller: Caller,
    pub(crate) created_at: u64,
    pub(crate) log: Arc<EventLog>,
    pub(crate) meters: AgentMeters,
    /// The run that it is a part of, if any.
    pub(crate) parent: Option<super::lineage::Parent>,
    /// What had happened to its calls, if it goes on after a crash.
    pub(crate) progress: HashMap<String, CallProgress>,
    /// What it had used by then.
    pub(crate) spent: Spent,
}

#[derive(Default)]
struct Waiting {
    client: HashMap<String, oneshot::Sender<ClientResult>>,
    approval: HashMap<String, (oneshot::Sender<Decision>, WaitingApproval)>,
}

/// An approval that somebody may decide on.
#[derive(Debug, Clone)]
pub(crate) struct WaitingApproval {
    pub(crate) tool: String,
    pub(crate) requested: RequestedApproval,
}

/// A run that others find as long as this is there; it has ended with it at the latest.
pub(crate) struct Entered {
    engine: Arc<Engine>,
    run: Arc<ActiveRun>,
}

/// All runs that are alive, by id and by conversation.
#[derive(Default)]
pub(crate) struct ActiveRuns {
    runs: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<Arc<str>, Arc<ActiveRun>>,
    by_conversation: HashMap<(Arc<str>, String, Owner), Arc<str>>,
}

type Owner = (String, String);

// === impl ActiveRun ===

impl ActiveRun {
    pub(crate) fn new(beginning: Beginning) -> Arc<Self> {
        let own_limit = beginning.request.max_steps.or(beginning.agent.max_steps);
        let lineage = match beginning.parent {
            None => Lineage::root(own_limit),
            Some(parent) => Lineage::part_of(parent),
        };
        let run = Arc::new(Self {
            id: beginning.id,
            agent: beginning.agent,
            request: beginning.request,
            answer: beginning.answer,
            owner: beginning.caller.principal,
            request_id: beginning.caller.request_id,
            created_at: beginning.created_at,
            cancel: lineage.cancellation(),
            log: beginning.log,
            usage: RunUsage::default(),
            meters: beginning.meters,
            spent: Mutex::new(beginning.spent),
            emission: tokio::sync::Mutex::default(),
            lineage,
            job: OnceLock::new(),
            waiting: Mutex::default(),
            progress: Mutex::new(beginning.progress),
        });
        run.lineage.joined(&run);
        run
    }

    /// Whether the last events are stored: those of a stream, and the answer for whoever repeats
    /// its request.
    pub(crate) fn keeps_last_words(&self) -> bool {
        let is_asked_for = self.answer == AnswerKind::Stream || self.request.claimed_id.is_some();
        is_asked_for && !self.lineage.is_part()
    }

    pub(crate) fn conversation_id(&self) -> Option<&str> {
        self.request.conversation_id.as_deref()
    }

    /// What it has used so far.
    pub(crate) fn spent(&self) -> Spent {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has used more, and so has the run that it is a part of.
    pub(crate) fn spend(&self, more: Spent) {
        {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            spent.add(more);
        }
        if let Some(parent) = self.lineage.parent() {
            parent.run.spend(more);
        }
    }

    /// From here on, a client may answer this call.
    pub(crate) fn expect_result(&self, call_id: &str) -> oneshot::Receiver<ClientResult> {
        let (sender, receiver) = oneshot::channel();
        self.waiting().client.insert(call_id.into(), sender);
        receiver
    }

    /// From here on, somebody may decide on this call.
    pub(crate) fn expect_decision(
        &self,
        call_id: &str,
        waiting: WaitingApproval,
    ) -> oneshot::Receiver<Decision> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.waiting();
        table.approval.insert(call_id.into(), (sender, waiting));
        receiver
    }

    /// The approvals that somebody may decide on, by call.
    pub(crate) fn pending_approvals(&self) -> Vec<(String, WaitingApproval)> {
        let waiting = self.waiting();
        let pending = waiting.approval.iter();
        pending
            .map(|(call_id, (_, approval))| (call_id.clone(), approval.clone()))
            .collect()
    }

    /// The run in which a call waits for somebody: this one, or a part of the same run.
    pub(crate) fn waiting_for(self: &Arc<Self>, call_id: &str) -> Option<Arc<Self>> {
        if self.awaits(call_id) {
            return Some(Arc::clone(self));
        }
        let mut parts = self.lineage.parts().into_iter();
        parts.find(|part| part.awaits(call_id))
    }

    fn awaits(&self, call_id: &str) -> bool {
        let waiting = self.waiting();
        waiting.client.contains_key(call_id) || waiting.approval.contains_key(call_id)
    }

    /// Whether it waits for a client or a decision, or one of its parts does.
    pub(crate) fn waits(&self) -> bool {
        let is_asking = |run: &Self| {
            let waiting = run.waiting();
            !waiting.client.is_empty() || !waiting.approval.is_empty()
        };
        is_asking(self) || self.lineage.parts().iter().any(|part| is_asking(part))
    }

    /// The tool of a call that waits for a decision.
    pub(crate) fn pending_tool(&self, call_id: &str) -> Option<Arc<ToolEntry>> {
        let waiting = self.waiting();
        let (_, approval) = waiting.approval.get(call_id)?;
        self.agent.tool(&approval.tool).cloned()
    }

    /// Whether this principal may decide on calls of this tool: the owner, unless the tool leaves
    /// it out, and whoever of its tenant has the scope.
    pub(crate) fn may_decide(&self, tool: &ToolEntry, principal: &Principal) -> bool {
        let rules = tool.info.approval.as_ref();
        if self.owner.as_ref() == principal {
            return rules.is_none_or(|rules| !rules.excludes_owner);
        }
        let scope = rules.and_then(|rules| rules.scope.as_deref());
        self.owner.tenant == principal.tenant && principal.has_scope(scope.unwrap_or(APPROVE))
    }

    /// Nobody may answer or decide on this call any more. Whether somebody still could have: if not,
    /// what they said is on its way.
    pub(crate) fn expect_nothing(&self, call_id: &str) -> bool {
        let mut waiting = self.waiting();
        let client = waiting.client.remove(call_id).is_some();
        waiting.approval.remove(call_id).is_some() || client
    }

    /// Whether the call was pending. Once this returns, the result outlives a crash.
    pub(crate) async fn submit_result(
        &self,
        call_id: &str,
        result: ClientResult,
    ) -> Result<bool, Error> {
        let sender = self.waiting().client.remove(call_id);
        let happened = Happened::ClientAnswered(result.clone());
        self.submit(call_id, sender, result, happened, || {}).await
    }

    /// Whether the decision was pending. Once this returns, it outlives a crash. It counts even if it
    /// cannot be stored: `remember` is called first.
    pub(crate) async fn submit_decision(
        &self,
        call_id: &str,
        decision: Decision,
        remember: impl FnOnce(),
    ) -> Result<bool, Error> {
        let sender = self
            .waiting()
            .approval
            .remove(call_id)
            .map(|(sender, _)| sender);
        let happened = Happened::Decided(decision.clone());
        self.submit(call_id, sender, decision, happened, remember)
            .await
    }

    async fn submit<T>(
        &self,
        call_id: &str,
        sender: Option<oneshot::Sender<T>>,
        value: T,
        happened: Happened,
        remember: impl FnOnce(),
    ) -> Result<bool, Error> {
        let Some(sender) = sender.filter(|sender| !sender.is_closed()) else {
            return Ok(false);
        };
        self.log.mark(&CallMark {
            call_id: call_id.to_owned(),
            happened,
        })?;
        remember();
        // Whoever submits may go while it is stored: it counts all the same.
        let delivery = Delivery(Some((sender, value)));
        self.log.settle().await?;
        Ok(delivery.deliver())
    }

    /// Whether the client had answered this call before the crash.
    pub(crate) fn was_answered(&self, call_id: &str) -> bool {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let call = progress.get(call_id);
        call.is_some_and(|call| call.client_result.is_some())
    }

    /// What had happened to a call before the crash that the run goes on after.
    pub(crate) fn take_progress(&self, call_id: &str) -> Option<CallProgress> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.remove(call_id)
    }

    /// The ids of all calls so far, those of its parts and of the run that it is a part of too.
    pub(crate) fn call_ids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.lineage.call_ids()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something for a run that waits: delivered at the latest when it is dropped.
struct Delivery<T>(Option<(oneshot::Sender<T>, T)>);

impl<T> Delivery<T> {
    /// Whether the run was still waiting.
    fn deliver(mut self) -> bool {
        let delivered = self
            .0
            .take()
            .map(|(sender, value)| sender.send(value).is_ok());
        delivered.unwrap_or(false)
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        if let Some((sender, value)) = self.0.take() {
            // The run may have ended.
            let _ = sender.send(value);
        }
    }
}

// === impl Entered ===

impl Entered {
    pub(crate) fn new(engine: &Arc<Engine>, run: &Arc<ActiveRun>) -> Self {
        engine.active.insert(run);
        Self {
            engine: Arc::clone(engine),
            run: Arc::clone(run),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.engine.close(&self.run, None);
    }
}

// === impl ActiveRuns ===

impl ActiveRuns {
    pub(crate) fn insert(&self, run: &Arc<ActiveRun>) {
        let mut table = self.table();
        table.by_id.insert(Arc::clone(&run.id), Arc::clone(run));
        if let (AnswerKind::Stream, Some(key)) = (run.answer, conversation_key(run)) {
            table.by_conversation.insert(key, Arc::clone(&run.id));
        }
    }

    pub(crate) fn remove(&self, run: &Arc<ActiveRun>) {
        let mut table = self.table();
        table.by_id.remove(&run.id);
        if let Some(key) = conversation_key(run)
            && table.by_conversation.get(&key) == Some(&run.id)
        {
            table.by_conversation.remove(&key);
        }
    }

    pub(crate) fn get(&self, run_id: &str) -> Option<Arc<ActiveRun>> {
        self.table().by_id.get(run_id).cloned()
    }

    /// The streamed run that a conversation is in.
    pub(crate) fn of_conversation(
        &self,
        agent: &Arc<str>,
        id: &str,
        owner: &Principal,
    ) -> Option<Arc<ActiveRun>> {
        let key = (Arc::clone(agent), id.to_owned(), owner_key(owner));
        let table = self.table();
        table.by_id.get(table.by_conversation.get(&key)?).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<ActiveRun>> {
        self.table().by_id.values().cloned().collect()
    }

    /// Aborts every run: the server stops.
    pub(crate) fn abort_all(&self) {
        for run in self.table().by_id.values() {
            run.cancel.cancel();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn conversation_key(run: &ActiveRun) -> Option<(Arc<str>, String, Owner)> {
    let id = run.conversation_id()?.to_owned();
    Some((Arc::clone(&run.agent.name), id, owner_key(&run.owner)))
}

fn owner_key(principal: &Principal) -> Owner {
    (principal.tenant.clone(), principal.subject.clone())
}

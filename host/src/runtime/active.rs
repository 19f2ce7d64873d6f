//! Runs that are alive: who owns them, how to stop them, what they wait for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mortise_plugin_api::Principal;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::agents::AgentSpec;
use super::api::{Caller, RunRequest, RunUsage};
use super::log::EventLog;
use crate::pipeline::Held;

/// What a client says of its tool: a result, or why there is none.
pub(crate) type ClientResult = Result<Value, String>;

/// A decision on an approval.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) approved: bool,
    pub(crate) note: Option<String>,
    pub(crate) actor_id: Option<String>,
}

/// How a run is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As one JSON value: nothing is stored, nobody watches.
    Json,
    /// As a stream of events.
    Stream,
}

/// A run that is alive.
pub(crate) struct ActiveRun {
    pub(crate) id: Arc<str>,
    pub(crate) agent: Arc<AgentSpec>,
    pub(crate) request: RunRequest,
    pub(crate) mode: Mode,
    pub(crate) owner: Arc<Principal>,
    pub(crate) request_id: Arc<str>,
    pub(crate) cancel: CancellationToken,
    pub(crate) log: Arc<EventLog>,
    pub(crate) usage: RunUsage,
    /// Held while an event is shown: what hooks hold back.
    pub(crate) emission: tokio::sync::Mutex<Held>,
    waiting: Mutex<Waiting>,
    /// The ids of all calls so far.
    call_ids: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Waiting {
    client: HashMap<String, oneshot::Sender<ClientResult>>,
    approval: HashMap<String, oneshot::Sender<Decision>>,
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
    pub(crate) fn new(
        id: Arc<str>,
        agent: Arc<AgentSpec>,
        request: RunRequest,
        mode: Mode,
        caller: Caller,
        log: Arc<EventLog>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            agent,
            request,
            mode,
            owner: caller.principal,
            request_id: caller.request_id,
            cancel: CancellationToken::new(),
            log,
            usage: RunUsage::default(),
            emission: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            call_ids: Mutex::default(),
        })
    }

    pub(crate) fn conversation_id(&self) -> Option<&str> {
        self.request.conversation_id.as_deref()
    }

    /// From here on, a client may answer this call.
    pub(crate) fn expect_result(&self, call_id: &str) -> oneshot::Receiver<ClientResult> {
        let (sender, receiver) = oneshot::channel();
        self.waiting().client.insert(call_id.into(), sender);
        receiver
    }

    /// From here on, somebody may decide on this call.
    pub(crate) fn expect_decision(&self, call_id: &str) -> oneshot::Receiver<Decision> {
        let (sender, receiver) = oneshot::channel();
        self.waiting().approval.insert(call_id.into(), sender);
        receiver
    }

    /// Nobody may answer or decide on this call any more.
    pub(crate) fn expect_nothing(&self, call_id: &str) {
        let mut waiting = self.waiting();
        waiting.client.remove(call_id);
        waiting.approval.remove(call_id);
    }

    /// Whether the call was pending.
    pub(crate) fn submit_result(&self, call_id: &str, result: ClientResult) -> bool {
        let sender = self.waiting().client.remove(call_id);
        sender.is_some_and(|sender| sender.send(result).is_ok())
    }

    /// Whether the decision was pending.
    pub(crate) fn submit_decision(&self, call_id: &str, decision: Decision) -> bool {
        let sender = self.waiting().approval.remove(call_id);
        sender.is_some_and(|sender| sender.send(decision).is_ok())
    }

    /// The ids of all calls so far.
    pub(crate) fn call_ids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.call_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ActiveRuns ===

impl ActiveRuns {
    pub(crate) fn insert(&self, run: &Arc<ActiveRun>) {
        let mut table = self.table();
        table.by_id.insert(run.id.clone(), Arc::clone(run));
        if let (Mode::Stream, Some(key)) = (run.mode, conversation_key(run)) {
            table.by_conversation.insert(key, run.id.clone());
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

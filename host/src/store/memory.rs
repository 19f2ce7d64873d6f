//! The store in memory: bounded, gone with the process.

mod jobs;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mortise_plugin_api::Principal;
use serde_json::Value;

use self::jobs::Jobs;
use super::{
    Acknowledge, Appended, AuditRecord, Begun, Booking, ConversationKey, ConversationSave,
    DailyUsage, Entry, EventBatch, Expected, Finish, Finished, IdempotencyKey, JobChange,
    JobFilter, Keeps, KeyedRun, LeaseRequest, Leased, Limits, RunFilter, RunState, Store,
    StoreError, StoreFuture, StoredConversation, StoredJob, StoredRun, USAGE_DAYS, UnfinishedRun,
    Used,
};
use crate::clock::{Clock, millis};

/// Everything in maps behind one lock that is never held across an await.
pub(crate) struct MemoryStore {
    limits: Limits,
    clock: Clock,
    data: Mutex<Data>,
}

#[derive(Default)]
struct Data {
    runs: HashMap<Arc<str>, Run>,
    /// Finished runs, oldest first, with the time of their end.
    finished: VecDeque<(u64, Arc<str>)>,
    conversations: HashMap<ConversationKey, StoredConversation>,
    /// Conversations in the order of their first save.
    conversation_order: VecDeque<ConversationKey>,
    state: HashMap<(String, String), Value>,
    /// What principals have used, by tenant and subject, by day.
    usage: HashMap<(String, String), BTreeMap<u64, Used>>,
    keys: HashMap<IdempotencyKey, KeyedRun>,
    /// Keys in the order of their first use.
    key_order: VecDeque<IdempotencyKey>,
    jobs: Jobs,
}

/// Beyond so many principals, those that have not used anything today are forgotten.
const USAGE_OWNERS: usize = 65_536;

struct Run {
    known: StoredRun,
    batches: Vec<EventBatch>,
}

// === impl MemoryStore ===

impl MemoryStore {
    pub(crate) fn new(limits: Limits, clock: Clock) -> Self {
        Self {
            limits,
            clock,
            data: Mutex::default(),
        }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The jobs, without those that are too old.
    fn with_jobs<T>(&self, ask: impl FnOnce(&mut Jobs) -> T) -> T {
        let oldest = self.clock.now_millis().saturating_sub(self.age());
        let jobs = &mut self.data().jobs;
        jobs.forget(oldest, self.limits.finished_runs);
        ask(jobs)
    }

    /// How long what has ended is kept, in milliseconds.
    fn age(&self) -> u64 {
        millis(self.limits.finished_for)
    }

    fn forget_old_runs(&self, data: &mut Data) {
        let age = self.age();
        let now = self.clock.now_millis();
        while let Some((ended, _)) = data.finished.front() {
            let too_many = data.finished.len() > self.limits.finished_runs;
            if !too_many && now.saturating_sub(*ended) <= age {
                break;
            }
            if let Some((_, run_id)) = data.finished.pop_front() {
                data.runs.remove(&run_id);
            }
        }
    }
}

fn done<T: Send + 'static>(value: T) -> StoreFuture<'static, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Store for MemoryStore {
    fn keeps(&self) -> Keeps {
        self.limits.keeps
    }

    fn failure(&self) -> Option<StoreError> {
        None
    }

    fn open_run(&self, run: StoredRun, _request: Option<String>) {
        let mut data = self.data();
        self.forget_old_runs(&mut data);
        data.runs.insert(
            Arc::clone(&run.id),
            Run {
                known: run,
                batches: Vec::new(),
            },
        );
    }

    fn append(
        &self,
        run_id: &Arc<str>,
        entry: Entry,
        _writer: Arc<dyn Acknowledge>,
    ) -> Result<Appended, StoreError> {
        match self.data().runs.get_mut(run_id) {
            Some(run) if run.known.state == RunState::Running => run.batches.extend(entry.batch),
            _ => return Err(StoreError(format!("the run '{run_id}' is not open"))),
        }
        Ok(Appended::Stored)
    }

    fn finish_run(&self, run_id: &Arc<str>, finish: Finish) -> StoreFuture<'static, Finished> {
        let mut data = self.data();
        if !data.is_running(run_id) {
            return done(Finished::AlreadyTerminal);
        }
        if let Some(save) = finish.conversation
            && !data.save_conversation(save, self.limits.conversations)
        {
            return done(Finished::ConversationConflict);
        }
        if let Some(run) = data.runs.get_mut(run_id) {
            run.known.state = finish.state;
            run.known.ended_at = Some(finish.ended_at);
            run.known.usage = finish.usage;
            run.batches.extend(finish.last_words);
        }
        data.finished
            .push_back((finish.ended_at, Arc::clone(run_id)));
        self.forget_old_runs(&mut data);
        done(Finished::Won)
    }

    fn end_run(&self, run_id: &Arc<str>, finish: Finish) {
        drop(self.finish_run(run_id, finish));
    }

    fn run(&self, run_id: &str) -> StoreFuture<'_, Option<StoredRun>> {
        let mut data = self.data();
        self.forget_old_runs(&mut data);
        done(data.runs.get(run_id).map(|run| run.known.clone()))
    }

    fn runs(&self, filter: RunFilter) -> StoreFuture<'_, Vec<StoredRun>> {
        let data = self.data();
        let known = data.runs.values().map(|run| &run.known);
        let mut wanted: Vec<_> = known.filter(|run| filter.wants(run)).collect();
        // Ids begin with the time.
        wanted.sort_unstable_by(|one, other| other.id.cmp(&one.id));
        let comes_after = |run: &&&StoredRun| {
            let before = filter.before.as_deref();
            before.is_none_or(|before| &*run.id < before)
        };
        let page = wanted
            .iter()
            .filter(comes_after)
            .take(filter.limit as usize);
        done(page.map(|run| StoredRun::clone(run)).collect())
    }

    fn unfinished_runs(&self) -> StoreFuture<'_, Vec<UnfinishedRun>> {
        done(Vec::new())
    }

    fn events(&self, run_id: &str, next: u64, limit: u64) -> StoreFuture<'_, Vec<EventBatch>> {
        let data = self.data();
        let batches = data.runs.get(run_id).map_or(&[][..], |run| &run.batches);
        let start = batches.partition_point(|batch| batch.end() <= next);
        let end = next.saturating_add(limit);
        let wanted = batches[start..].iter().take_while(|it| it.first() < end);
        let mut wanted: Vec<EventBatch> = wanted.cloned().collect();
        if let Some(first) = wanted.first_mut() {
            first.advance_to(next);
        }
        done(wanted)
    }

    fn load_conversation(
        &self,
        key: &ConversationKey,
    ) -> StoreFuture<'_, Option<StoredConversation>> {
        done(self.data().conversations.get(key).cloned())
    }

    fn delete_conversation(&self, key: ConversationKey) -> StoreFuture<'static, bool> {
        let mut data = self.data();
        data.conversation_order.retain(|other| *other != key);
        done(data.conversations.remove(&key).is_some())
    }

    fn claim(
        &self,
        key: IdempotencyKey,
        run: KeyedRun,
        begun: Option<Begun>,
    ) -> StoreFuture<'static, Option<KeyedRun>> {
        let mut data = self.data();
        let present = data.keys.get(&key).cloned();
        if present.is_some() || begun.is_none() {
            return done(present);
        }
        data.key_order.push_back(key.clone());
        data.keys.insert(key, run);
        if data.key_order.len() > self.limits.finished_runs
            && let Some(oldest) = data.key_order.pop_front()
        {
            data.keys.remove(&oldest);
        }
        done(None)
    }

    fn enqueue_job(&self, job: StoredJob, most: usize) -> StoreFuture<'static, bool> {
        done(self.with_jobs(|jobs| jobs.enqueue(job, most)))
    }

    fn job(&self, id: &str) -> StoreFuture<'_, Option<StoredJob>> {
        done(self.with_jobs(|jobs| jobs.get(id)))
    }

    fn jobs(&self, filter: JobFilter) -> StoreFuture<'_, Vec<StoredJob>> {
        done(self.with_jobs(|jobs| jobs.list(&filter)))
    }

    fn lease_job(&self, request: LeaseRequest) -> StoreFuture<'static, Leased> {
        done(self.with_jobs(|jobs| jobs.lease(&request)))
    }

    fn change_job(&self, id: &str, change: JobChange) -> StoreFuture<'static, Option<StoredJob>> {
        done(self.with_jobs(|jobs| jobs.change(id, change)))
    }

    fn book(&self, booking: Booking) {
        let Booking { owner, day, used } = booking;
        let usage = &mut self.data().usage;
        let key = (owner.tenant.clone(), owner.subject.clone());
        if usage.len() >= USAGE_OWNERS && !usage.contains_key(&key) {
            usage.retain(|_, days| days.contains_key(&day));
        }
        let days = usage.entry(key).or_default();
        *days.entry(day).or_default() += used;
        let oldest = day.saturating_sub(USAGE_DAYS);
        if days.first_key_value().is_some_and(|(day, _)| *day < oldest) {
            days.pop_first();
        }
    }

    fn usage(&self, owner: &Principal, since: u64) -> StoreFuture<'_, Vec<DailyUsage>> {
        let key = (owner.tenant.clone(), owner.subject.clone());
        let data = self.data();
        let days = data.usage.get(&key);
        let days = days.into_iter().flat_map(|days| days.range(since..).rev());
        done(days.map(|(&day, &used)| DailyUsage { day, used }).collect())
    }

    // What must outlive the process has no place here; the log has it.
    fn audit(&self, _record: AuditRecord) {}

    fn state(&self, instance: &str, key: &str) -> StoreFuture<'_, Option<Value>> {
        done(
            self.data()
                .state
                .get(&(instance.into(), key.into()))
                .cloned(),
        )
    }

    fn set_state(
        &self,
        instance: &str,
        key: &str,
        expected: Expected,
        value: Value,
    ) -> StoreFuture<'static, bool> {
        let mut data = self.data();
        let place = (instance.to_owned(), key.to_owned());
        if let Expected::Is(expected) = expected
            && data.state.get(&place) != expected.as_ref()
        {
            return done(false);
        }
        if value.is_null() {
            data.state.remove(&place);
        } else if data.state.len() < self.limits.state_keys || data.state.contains_key(&place) {
            data.state.insert(place, value);
        } else {
            let limit = self.limits.state_keys;
            let error = StoreError(format!("the state of plugins is full ({limit} keys)"));
            return Box::pin(std::future::ready(Err(error)));
        }
        done(true)
    }
}

// === impl Data ===

impl Data {
    fn is_running(&self, run_id: &str) -> bool {
        self.runs
            .get(run_id)
            .is_some_and(|run| run.known.state == RunState::Running)
    }

    /// Whether it was saved; at most `limit` conversations are kept.
    fn save_conversation(&mut self, save: ConversationSave, limit: usize) -> bool {
        let ConversationSave {
            key,
            items,
            expected,
        } = save;
        let present = self.conversations.get(&key).map(|stored| stored.version);
        if expected.is_some() && present != expected {
            return false;
        }
        let version = present.unwrap_or(0) + 1;
        if present.is_none() {
            self.conversation_order.push_back(key.clone());
            if self.conversation_order.len() > limit
                && let Some(oldest) = self.conversation_order.pop_front()
            {
                self.conversations.remove(&oldest);
            }
        }
        let items = Arc::new(items);
        self.conversations
            .insert(key, StoredConversation { items, version });
        true
    }
}

//! The one writer: it commits all that has gathered since its last commit, in one transaction.
//!
//! Whoever waits is told after the commit. When a transaction fails, all of it is undone and
//! everybody in it is told so; what was stored before stays as it was. Where the database cannot be
//! written, nothing is begun until it can.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    ConnectOptions as _, Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::super::{
    Acknowledge, AuditRecord, Booking, ConversationKey, ConversationSave, Entry, EventBatch,
    Expected, Finish, Finished, IdempotencyKey, JobChange, KeyedRun, LeaseRequest, Leased, Limits,
    Mark, StoreError, StoredJob, StoredRun, USAGE_DAYS, Used,
};
use super::lock::DatabaseLock;
use super::{Health, jobs, schema, signed, unsigned, usage_json};
use crate::clock::Clock;

/// How many commands one transaction takes.
const GROUP: usize = 512;
/// How many rows one statement inserts: a statement has at most 32,766 parameters.
const ROWS: usize = 256;
/// How often old runs are forgotten, and how many at once.
const FORGET_EVERY: Duration = Duration::from_secs(30);
const FORGET_AT_ONCE: i64 = 1000;
/// How often it is tried whether a database can be written again that could not.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long a client may repeat a request with its key.
const KEYS_KEPT: Duration = Duration::from_hours(24);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something that is to be stored.
pub(super) enum Command {
    Open {
        run: StoredRun,
        /// What was asked for, as JSON.
        request: Option<String>,
    },
    Append {
        run_id: Arc<str>,
        entry: Entry,
        writer: Arc<dyn Acknowledge>,
    },
    Finish {
        run_id: Arc<str>,
        finish: Finish,
        answer: Answer<Finished>,
    },
    DeleteConversation {
        key: ConversationKey,
        answer: Answer<bool>,
    },
    Claim {
        key: IdempotencyKey,
        run: KeyedRun,
        answer: Answer<Option<KeyedRun>>,
    },
    EnqueueJob {
        job: Box<StoredJob>,
        most: usize,
        answer: Answer<bool>,
    },
    LeaseJob {
        request: LeaseRequest,
        answer: Answer<Leased>,
    },
    ChangeJob {
        id: String,
        change: Box<JobChange>,
        answer: Answer<Option<StoredJob>>,
    },
    Audit(AuditRecord),
    Book(Booking),
    /// Nothing: the answer comes when all that was queued before is committed.
    Settle {
        answer: Answer<()>,
    },
    SetState {
        instance: String,
        key: String,
        expected: Expected,
        value: Value,
        answer: Answer<bool>,
    },
    Close {
        answer: Answer<()>,
    },
}

/// Told after the commit, or after it failed.
type Told = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The writer and its connection.
pub(super) struct Writer {
    /// `None` after a transaction failed: what is left of it goes with the connection.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    /// Let go of after the connection.
    _lock: DatabaseLock,
    limits: Limits,
    clock: Clock,
    health: Health,
    /// When it is tried again whether the database can be written.
    try_again: Instant,
    forgot_at: u64,
}

/// A transaction that is being filled.
struct Group<'c> {
    transaction: sqlx::Transaction<'c, Sqlite>,
    limits: &'c Limits,
    now: u64,
    told: Vec<Told>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        lock: DatabaseLock,
        limits: Limits,
        clock: Clock,
        health: Health,
    ) -> Self {
        Self {
            connection: Some(connection),
            options,
            _lock: lock,
            limits,
            clock,
            health,
            try_again: Instant::now(),
            forgot_at: 0,
        }
    }

    /// Commits until the store is closed or dropped.
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Command>) {
        let mut commands = Vec::with_capacity(GROUP);
        let mut closing = Vec::new();
        while closing.is_empty() && self.gather(&mut queue, &mut commands).await {
            if commands
                .iter()
                .any(|it| matches!(it, Command::Close { .. }))
            {
                // Nothing comes after the end, and nothing that came before is lost.
                queue.close();
                while let Some(command) = queue.recv().await {
                    commands.push(command);
                }
            }
            for command in commands.extract_if(.., |it| matches!(it, Command::Close { .. })) {
                closing.extend(match command {
                    Command::Close { answer } => Some(answer),
                    _ => None,
                });
            }
            self.commit(&mut commands).await;
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed in order");
        }
        for answer in closing {
            let _ = answer.send(Ok(()));
        }
    }

    /// Waits for something to store; whether there may be more.
    ///
    /// While the database cannot be written, whoever comes is refused at once, and it is tried
    /// again and again: a server that says that it is not ready may be asked nothing.
    async fn gather(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Command>,
        commands: &mut Vec<Command>,
    ) -> bool {
        loop {
            let gathered = queue.recv_many(commands, GROUP);
            if self.health.get().is_none() {
                return gathered.await > 0;
            }
            if let Ok(count) = tokio::time::timeout_at(self.try_again, gathered).await {
                return count > 0;
            }
            self.try_to_write().await;
            if self.health.get().is_none() {
                tracing::info!("the database can be written again");
            }
        }
    }

    async fn commit(&mut self, commands: &mut Vec<Command>) {
        if let Some(error) = self.health.get() {
            return commands.drain(..).for_each(|it| it.refuse(&error));
        }
        let now = self.clock.now_millis();
        let mut told = Vec::with_capacity(commands.len());
        let stored = self.store(commands, now, &mut told).await;
        let outcome = match stored {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "a transaction failed; nothing of it was stored");
                if let Some(connection) = self.connection.take() {
                    // Until it is closed, it holds the database. What it says was said before.
                    let _ = connection.close().await;
                }
                self.try_to_write().await;
                Err(StoreError::from(error))
            }
        };
        for told in told {
            told(outcome.clone());
        }
        // Those that the failed transaction did not come to.
        for command in commands.drain(..) {
            if let Err(error) = &outcome {
                command.refuse(error);
            }
        }
    }

    /// Finds out whether the database can be written, without waiting for who holds it.
    async fn try_to_write(&mut self) {
        let options = self.options.clone().busy_timeout(Duration::ZERO);
        let tried = async {
            let mut connection = options.connect().await?;
            schema::stamp(&mut connection).await?;
            connection.close().await
        };
        let failure = tried.await.err().map(StoreError::from);
        self.health.set(failure);
        self.try_again = Instant::now() + TRY_AGAIN;
    }

    async fn store(
        &mut self,
        commands: &mut Vec<Command>,
        now: u64,
        told: &mut Vec<Told>,
    ) -> Result<(), sqlx::Error> {
        let forgets = now.saturating_sub(self.forgot_at) >= millis(FORGET_EVERY);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let mut group = Group {
            transaction: connection.begin_with("begin immediate").await?,
            limits: &self.limits,
            now,
            told: Vec::new(),
        };
        let mut filled = group.fill(commands).await;
        if forgets && filled.is_ok() {
            filled = group.forget().await;
        }
        told.append(&mut group.told);
        filled?;
        group.transaction.commit().await?;
        if forgets {
            self.forgot_at = now;
        }
        Ok(())
    }
}

// === impl Command ===

impl Command {
    fn refuse(self, error: &StoreError) {
        let error = error.clone();
        // Whoever asked may have gone.
        match self {
            Self::Open { .. } | Self::Audit(_) | Self::Book(_) => {}
            Self::Append { writer, .. } => writer.failed(&error),
            Self::Finish { answer, .. } => drop(answer.send(Err(error))),
            Self::DeleteConversation { answer, .. } | Self::SetState { answer, .. } => {
                drop(answer.send(Err(error)));
            }
            Self::Claim { answer, .. } => drop(answer.send(Err(error))),
            Self::EnqueueJob { answer, .. } => drop(answer.send(Err(error))),
            Self::LeaseJob { answer, .. } => drop(answer.send(Err(error))),
            Self::ChangeJob { answer, .. } => drop(answer.send(Err(error))),
            Self::Settle { answer } | Self::Close { answer } => drop(answer.send(Err(error))),
        }
    }
}

// === impl Group ===

impl Group<'_> {
    /// Beginnings first, then events and marks, then ends, then all else: the order of what is
    /// stored of one run, with few statements for many runs.
    async fn fill(&mut self, commands: &mut Vec<Command>) -> Result<(), sqlx::Error> {
        let mut opened = Vec::new();
        let mut appended = Vec::new();
        let mut finished = Vec::new();
        let mut booked: HashMap<OwnerDay, Used> = HashMap::new();
        let mut others = Vec::new();
        for command in commands.drain(..) {
            match command {
                Command::Open { run, request } => opened.push((run, request)),
                Command::Append {
                    run_id,
                    entry,
                    writer,
                } => appended.push((run_id, entry, writer)),
                Command::Finish {
                    run_id,
                    finish,
                    answer,
                } => finished.push((run_id, finish, answer)),
                Command::Book(booking) => {
                    let Booking { owner, day, used } = booking;
                    let owner_day = (owner.tenant.clone(), owner.subject.clone(), day);
                    *booked.entry(owner_day).or_default() += used;
                }
                other => others.push(other),
            }
        }
        // Everybody who waits is told, however far this gets.
        let mut batches = Vec::new();
        let mut marks = Vec::new();
        for (run_id, entry, writer) in appended {
            self.told.push(Box::new(move |outcome| match outcome {
                Ok(()) => writer.stored(),
                Err(error) => writer.failed(&error),
            }));
            batches.extend(entry.batch.map(|batch| (Arc::clone(&run_id), batch)));
            for mark in entry.marks {
                marks.push((Arc::clone(&run_id), mark));
            }
        }
        commands.append(&mut others);
        let ends = finished.into_iter().map(|(run_id, finish, answer)| {
            let outcome = Arc::new(std::sync::Mutex::new(Finished::Won));
            self.told
                .push(answering_later(answer, Arc::clone(&outcome)));
            (run_id, finish, outcome)
        });
        let ends: Vec<_> = ends.collect();
        self.open(&opened).await?;
        self.append(&batches).await?;
        for (run_id, mark) in marks {
            self.mark(&run_id, mark).await?;
        }
        self.finish(ends).await?;
        self.book(&booked).await?;
        // One by one, so that those behind one that fails are told why.
        commands.reverse();
        while let Some(command) = commands.pop() {
            self.other(command).await?;
        }
        Ok(())
    }

    async fn open(&mut self, runs: &[(StoredRun, Option<String>)]) -> Result<(), sqlx::Error> {
        for runs in runs.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "insert into runs (run_id, tenant, subject, scopes, agent, conversation_id, \
                 answer, state, created_at, request) ",
            );
            query.push_values(runs, |mut row, (run, request)| {
                row.push_bind(&*run.id)
                    .push_bind(&run.owner.tenant)
                    .push_bind(&run.owner.subject)
                    .push_bind(json!(run.owner.scopes).to_string())
                    .push_bind(&*run.agent)
                    .push_bind(&run.conversation_id)
                    .push_bind(run.answer.as_str())
                    .push_bind(run.state.as_str())
                    .push_bind(signed(run.created_at))
                    .push_bind(request);
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn append(&mut self, batches: &[(Arc<str>, EventBatch)]) -> Result<(), sqlx::Error> {
        for batches in batches.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "insert into run_events (run_id, first, count, lines) ",
            );
            query.push_values(batches, |mut row, (run_id, batch)| {
                row.push_bind(&**run_id)
                    .push_bind(signed(batch.first()))
                    .push_bind(signed(batch.len()))
                    .push_bind(&batch.lines()[..]);
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn mark(&mut self, run_id: &str, mark: Mark) -> Result<(), sqlx::Error> {
        match mark {
            Mark::Since(json) => {
                sqlx::query("insert into run_marks (run_id, mark) values (?, ?)")
                    .bind(run_id)
                    .bind(json)
                    .execute(&mut *self.transaction)
                    .await?;
            }
            Mark::Checkpoint { json, next } => {
                sqlx::query("delete from run_marks where run_id = ?")
                    .bind(run_id)
                    .execute(&mut *self.transaction)
                    .await?;
                self.checkpoint(run_id, json, next).await?;
            }
            Mark::CheckpointInStep { json, next } => self.checkpoint(run_id, json, next).await?,
        }
        Ok(())
    }

    async fn checkpoint(
        &mut self,
        run_id: &str,
        json: String,
        next: u64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("update runs set checkpoint = ?, checkpoint_next = ? where run_id = ?")
            .bind(json)
            .bind(signed(next))
            .bind(run_id)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Many runs end in one group; all of them but those with a conversation need one statement.
    async fn finish(&mut self, ends: Vec<End>) -> Result<(), sqlx::Error> {
        let mut last_words = Vec::new();
        let mut ended = Vec::new();
        let mut seen = HashSet::new();
        for (run_id, finish, outcome) in ends {
            if !seen.insert(Arc::clone(&run_id)) {
                settle(&outcome, Finished::AlreadyTerminal);
                continue;
            }
            if let Some(save) = finish.conversation {
                // A conversation is not stored for a run that has ended.
                let is_alive = self.is_alive(&run_id).await?;
                if is_alive && !self.save(save).await? {
                    settle(&outcome, Finished::ConversationConflict);
                    continue;
                }
            }
            let usage = usage_json(finish.usage.as_ref());
            ended.push(json!([
                &*run_id,
                finish.state.as_str(),
                finish.ended_at,
                usage
            ]));
            last_words.push((run_id, finish.last_words, outcome));
        }
        if ended.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(
            "update runs set state = ended.value ->> 1, ended_at = ended.value ->> 2, \
             usage = ended.value ->> 3, checkpoint = null, request = null \
             from json_each(?) as ended \
             where runs.run_id = ended.value ->> 0 and runs.ended_at is null returning run_id",
        )
        .bind(Value::from(ended).to_string())
        .fetch_all(&mut *self.transaction)
        .await?;
        let mut won = HashSet::new();
        for row in rows {
            won.insert(row.try_get::<String, _>(0)?);
        }
        let mut batches = Vec::new();
        for (run_id, batch, outcome) in last_words {
            if won.contains(&*run_id) {
                batches.extend(batch.filter(|batch| batch.len() > 0).map(|it| (run_id, it)));
            } else {
                settle(&outcome, Finished::AlreadyTerminal);
            }
        }
        sqlx::query("delete from run_marks where run_id in (select value from json_each(?))")
            .bind(json!(won).to_string())
            .execute(&mut *self.transaction)
            .await?;
        self.append(&batches).await
    }

    async fn is_alive(&mut self, run_id: &str) -> Result<bool, sqlx::Error> {
        let row = sqlx::query("select 1 from runs where run_id = ? and ended_at is null")
            .bind(run_id)
            .fetch_optional(&mut *self.transaction)
            .await?;
        Ok(row.is_some())
    }

    /// Whether nobody else has stored since the load.
    async fn save(&mut self, save: ConversationSave) -> Result<bool, sqlx::Error> {
        let ConversationSave {
            key,
            items,
            expected,
        } = save;
        let present: Option<i64> = sqlx::query_scalar(
            "select version from conversations \
             where tenant = ? and subject = ? and agent = ? and id = ?",
        )
        .bind(&key.tenant)
        .bind(&key.subject)
        .bind(&key.agent)
        .bind(&key.id)
        .fetch_optional(&mut *self.transaction)
        .await?;
        if expected.is_some() && present.map(unsigned) != expected {
            return Ok(false);
        }
        let version = present.unwrap_or(0) + 1;
        sqlx::query("insert or replace into conversations values (?, ?, ?, ?, ?, ?, ?)")
            .bind(&key.tenant)
            .bind(&key.subject)
            .bind(&key.agent)
            .bind(&key.id)
            .bind(version)
            .bind(json!(items).to_string())
            .bind(signed(self.now))
            .execute(&mut *self.transaction)
            .await?;
        Ok(true)
    }

    async fn other(&mut self, command: Command) -> Result<(), sqlx::Error> {
        match command {
            Command::DeleteConversation { key, answer } => {
                let deleted = self.delete_conversation(&key).await;
                self.answer(answer, deleted)
            }
            Command::Claim { key, run, answer } => {
                let claimed = self.claim(&key, &run).await;
                self.answer(answer, claimed)
            }
            Command::SetState {
                instance,
                key,
                expected,
                value,
                answer,
            } => match self.set_state(&instance, &key, &expected, &value).await {
                Ok(Err(full)) => {
                    let _ = answer.send(Err(full));
                    Ok(())
                }
                Ok(Ok(set)) => self.answer(answer, Ok(set)),
                Err(error) => self.answer(answer, Err(error)),
            },
            Command::EnqueueJob { job, most, answer } => {
                let enqueued = jobs::enqueue(&mut self.transaction, &job, most).await;
                self.answer(answer, enqueued)
            }
            Command::LeaseJob { request, answer } => {
                let leased = jobs::lease(&mut self.transaction, &request).await;
                self.answer(answer, leased)
            }
            Command::ChangeJob { id, change, answer } => {
                let changed = jobs::change(&mut self.transaction, &id, *change).await;
                self.answer(answer, changed)
            }
            Command::Audit(record) => self.audit(&record).await,
            Command::Settle { answer } => self.answer(answer, Ok(())),
            // The others were taken out before.
            _ => Ok(()),
        }
    }

    /// The answer is given after the commit.
    fn answer<T: Send + 'static>(
        &mut self,
        answer: Answer<T>,
        value: Result<T, sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let (value, failed) = match value {
            Ok(value) => (Some(value), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.told.push(Box::new(move |outcome| {
            let outcome = outcome.and_then(|()| value.ok_or_else(|| StoreError("failed".into())));
            let _ = answer.send(outcome);
        }));
        failed
    }

    async fn delete_conversation(&mut self, key: &ConversationKey) -> Result<bool, sqlx::Error> {
        let deleted = sqlx::query(
            "delete from conversations where tenant = ? and subject = ? and agent = ? and id = ?",
        )
        .bind(&key.tenant)
        .bind(&key.subject)
        .bind(&key.agent)
        .bind(&key.id)
        .execute(&mut *self.transaction)
        .await?;
        Ok(deleted.rows_affected() > 0)
    }

    async fn claim(
        &mut self,
        key: &IdempotencyKey,
        run: &KeyedRun,
    ) -> Result<Option<KeyedRun>, sqlx::Error> {
        let present = sqlx::query(
            "select run_id, request from idempotency_keys \
             where tenant = ? and subject = ? and agent = ? and key = ?",
        )
        .bind(&key.tenant)
        .bind(&key.subject)
        .bind(&key.agent)
        .bind(&key.key)
        .fetch_optional(&mut *self.transaction)
        .await?;
        if let Some(row) = present {
            return Ok(Some(KeyedRun {
                run_id: row.try_get::<&str, _>("run_id")?.into(),
                request: row.try_get("request")?,
            }));
        }
        sqlx::query("insert into idempotency_keys values (?, ?, ?, ?, ?, ?, ?)")
            .bind(&key.tenant)
            .bind(&key.subject)
            .bind(&key.agent)
            .bind(&key.key)
            .bind(&*run.run_id)
            .bind(&run.request)
            .bind(signed(self.now))
            .execute(&mut *self.transaction)
            .await?;
        Ok(None)
    }

    async fn book(&mut self, booked: &HashMap<OwnerDay, Used>) -> Result<(), sqlx::Error> {
        if booked.is_empty() {
            return Ok(());
        }
        let rows = booked.iter().map(|((tenant, subject, day), used)| {
            json!([
                tenant,
                subject,
                signed(*day),
                signed(used.runs),
                signed(used.input_tokens),
                signed(used.output_tokens),
                signed(used.total_tokens),
                signed(used.cost.billionths()),
            ])
        });
        let rows: Vec<Value> = rows.collect();
        sqlx::query(
            "insert into daily_usage select value ->> 0, value ->> 1, value ->> 2, value ->> 3, \
             value ->> 4, value ->> 5, value ->> 6, value ->> 7 from json_each(?) where true \
             on conflict (tenant, subject, day) do update set runs = runs + excluded.runs, \
             input_tokens = input_tokens + excluded.input_tokens, \
             output_tokens = output_tokens + excluded.output_tokens, \
             total_tokens = total_tokens + excluded.total_tokens, cost = cost + excluded.cost",
        )
        .bind(Value::from(rows).to_string())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn audit(&mut self, record: &AuditRecord) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into audit (at, tenant, subject, action, run_id, detail) \
             values (?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(record.at))
        .bind(&record.principal.tenant)
        .bind(&record.principal.subject)
        .bind(record.action)
        .bind(record.run_id.as_deref())
        .bind(record.detail.to_string())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn set_state(
        &mut self,
        instance: &str,
        key: &str,
        expected: &Expected,
        value: &Value,
    ) -> Result<Result<bool, StoreError>, sqlx::Error> {
        let present: Option<String> =
            sqlx::query_scalar("select value from plugin_state where instance = ? and key = ?")
                .bind(instance)
                .bind(key)
                .fetch_optional(&mut *self.transaction)
                .await?;
        if let Expected::Is(expected) = expected {
            let present = present
                .as_deref()
                .and_then(|text| serde_json::from_str::<Value>(text).ok());
            if present != *expected {
                return Ok(Ok(false));
            }
        }
        if value.is_null() {
            sqlx::query("delete from plugin_state where instance = ? and key = ?")
                .bind(instance)
                .bind(key)
                .execute(&mut *self.transaction)
                .await?;
            return Ok(Ok(true));
        }
        if present.is_none() {
            let kept: i64 = sqlx::query_scalar("select count(*) from plugin_state")
                .fetch_one(&mut *self.transaction)
                .await?;
            let limit = self.limits.state_keys;
            if unsigned(kept) >= limit as u64 {
                return Ok(Err(StoreError(format!(
                    "the state of plugins is full ({limit} keys)"
                ))));
            }
        }
        sqlx::query("insert or replace into plugin_state values (?, ?, ?)")
            .bind(instance)
            .bind(key)
            .bind(value.to_string())
            .execute(&mut *self.transaction)
            .await?;
        Ok(Ok(true))
    }

    /// Forgets what is older than is to be kept, or more.
    async fn forget(&mut self) -> Result<(), sqlx::Error> {
        let oldest = self.now.saturating_sub(millis(self.limits.finished_for));
        let forgotten: Vec<String> = sqlx::query_scalar(
            "select run_id from runs where ended_at is not null and (ended_at < ?1 \
             or run_id not in (select run_id from runs where ended_at is not null \
             order by ended_at desc limit ?2)) order by ended_at limit ?3",
        )
        .bind(signed(oldest))
        .bind(signed(self.limits.finished_runs as u64))
        .bind(FORGET_AT_ONCE)
        .fetch_all(&mut *self.transaction)
        .await?;
        if !forgotten.is_empty() {
            let forgotten = json!(forgotten).to_string();
            for statement in [
                "delete from run_events where run_id in (select value from json_each(?))",
                "delete from runs where run_id in (select value from json_each(?))",
            ] {
                sqlx::query(statement)
                    .bind(&forgotten)
                    .execute(&mut *self.transaction)
                    .await?;
            }
        }
        let most = self.limits.finished_runs;
        jobs::forget(&mut self.transaction, oldest, most, FORGET_AT_ONCE).await?;
        sqlx::query("delete from idempotency_keys where created_at < ?")
            .bind(signed(self.now.saturating_sub(millis(KEYS_KEPT))))
            .execute(&mut *self.transaction)
            .await?;
        let day = Duration::from_hours(24);
        let oldest = (self.now / millis(day)).saturating_sub(USAGE_DAYS);
        sqlx::query("delete from daily_usage where day < ?")
            .bind(signed(oldest))
            .execute(&mut *self.transaction)
            .await?;
        sqlx::query(
            "delete from conversations where rowid in \
             (select rowid from conversations order by changed_at desc limit ? offset ?)",
        )
        .bind(FORGET_AT_ONCE)
        .bind(signed(self.limits.conversations as u64))
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}

/// A tenant, a subject and a day.
type OwnerDay = (String, String, u64);

/// A run that ends, and what becomes of that.
type End = (Arc<str>, Finish, Outcome);

type Outcome = Arc<std::sync::Mutex<Finished>>;

fn settle(outcome: &Outcome, finished: Finished) {
    *outcome
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = finished;
}

fn answering_later(answer: Answer<Finished>, outcome: Outcome) -> Told {
    Box::new(move |committed| {
        let finished = *outcome
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = answer.send(committed.map(|()| finished));
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

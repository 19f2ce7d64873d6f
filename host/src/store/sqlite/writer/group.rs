//! A transaction that is being filled: what is stored of it, in which order, and who is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sqlx::{Row as _, Sqlite};

use super::super::{jobs, reads, signed};
use super::runs::answering_later;
use super::waiting::Waiting;
use super::{Answer, Command, Known};
use crate::store::{
    AuditRecord, Begun, Booking, ConversationKey, Expected, Finished, IdempotencyKey, KeyedRun,
    Limits, StoreError, Used,
};

/// A transaction that is being filled.
pub(super) struct Group<'c> {
    pub(super) transaction: sqlx::Transaction<'c, Sqlite>,
    pub(super) limits: &'c Limits,
    pub(super) known: &'c mut Known,
    pub(super) now: u64,
    pub(super) told: Vec<Told>,
}

/// Told after the commit, or after it failed.
pub(super) type Told = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A tenant, a subject and a day.
type OwnerDay = (String, String, u64);

// === impl Group ===

impl Group<'_> {
    /// Beginnings first, then events and marks, then ends, then all else: the order of what is
    /// stored of one run, with few statements for many runs.
    pub(super) async fn fill(
        &mut self,
        waiting: &Waiting,
        commands: &mut Vec<Command>,
    ) -> Result<(), sqlx::Error> {
        let mut appended = Vec::new();
        let mut finished = Vec::new();
        let mut booked: HashMap<OwnerDay, Used> = HashMap::new();
        let mut others = Vec::new();
        for command in commands.drain(..) {
            match command {
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
            let outcome = Arc::new(Mutex::new(Finished::Won));
            self.told
                .push(answering_later(answer, Arc::clone(&outcome)));
            (run_id, finish, outcome)
        });
        let ends: Vec<_> = ends.collect();
        self.open(&waiting.begun).await?;
        self.append(&batches).await?;
        for (run_id, mark) in marks {
            self.mark(&run_id, mark).await?;
        }
        self.finish(ends).await?;
        self.end(&waiting.ended).await?;
        self.book(&booked).await?;
        // One by one, so that those behind one that fails are told why.
        commands.reverse();
        while let Some(command) = commands.pop() {
            self.other(command).await?;
        }
        Ok(())
    }

    async fn other(&mut self, command: Command) -> Result<(), sqlx::Error> {
        match command {
            Command::DeleteConversation { key, answer } => {
                let deleted = self.delete_conversation(&key).await;
                self.answer(answer, deleted)
            }
            Command::Claim {
                key,
                run,
                begun,
                answer,
            } => {
                let claimed = self.claim(&key, &run, begun.as_deref()).await;
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
                let enqueued =
                    jobs::enqueue(&mut self.transaction, &mut self.known.jobs, &job, most).await;
                self.answer(answer, enqueued)
            }
            Command::LeaseJob { request, answer } => {
                let leased =
                    jobs::lease(&mut self.transaction, &mut self.known.jobs, &request).await;
                self.answer(answer, leased)
            }
            Command::ChangeJob { id, change, answer } => {
                let changed =
                    jobs::change(&mut self.transaction, &mut self.known.jobs, &id, *change).await;
                self.answer(answer, changed)
            }
            Command::Audit(record) => self.audit(&record).await,
            Command::Settle { answer } => self.answer(answer, Ok(())),
            // The others were taken out before.
            _ => Ok(()),
        }
    }

    /// The answer is given after the commit. A row that cannot be read is nobody's failure but that
    /// of who asked for it: rows are read before anything is written.
    fn answer<T: Send + 'static>(
        &mut self,
        answer: Answer<T>,
        value: Result<T, sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let (value, failed) = match value {
            Ok(value) => (Ok(value), Ok(())),
            Err(error) if reads::is_of_row(&error) => (Err(error.into()), Ok(())),
            Err(error) => (Err(StoreError(error.to_string())), Err(error)),
        };
        self.told.push(Box::new(move |outcome| {
            let _ = answer.send(outcome.and(value));
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
        begun: Option<&Begun>,
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
        let Some(begun) = begun else {
            return Ok(None);
        };
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
        // After a crash the key stands for a run that was interrupted.
        self.open(std::slice::from_ref(begun)).await?;
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
            let limit = self.limits.state_keys;
            let count = "select count(*) from plugin_state";
            let room = &mut self.known.state;
            if !room.take(&mut self.transaction, count, limit).await? {
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
}

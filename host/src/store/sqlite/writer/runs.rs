//! What is stored of runs: their beginnings, events, marks and ends, with their conversations.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::super::{signed, unsigned, usage_json};
use super::Answer;
use super::group::{Group, Told};
use super::waiting::Ended;
use crate::store::{Begun, ConversationSave, EventBatch, Finish, Finished, Mark};

/// How many rows one statement inserts: a statement has at most 32,766 parameters.
const ROWS: usize = 256;

/// A run that ends, and what becomes of that.
pub(super) type End = (Arc<str>, Finish, Outcome);

type Outcome = Arc<Mutex<Finished>>;

// === impl Group ===

impl Group<'_> {
    /// One that is there was stored by a commit that was taken for a failure.
    pub(super) async fn open(&mut self, runs: &[Begun]) -> Result<(), sqlx::Error> {
        for runs in runs.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "insert or ignore into runs (run_id, tenant, subject, scopes, agent, conversation_id, \
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

    pub(super) async fn append(
        &mut self,
        batches: &[(Arc<str>, EventBatch)],
    ) -> Result<(), sqlx::Error> {
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

    pub(super) async fn mark(&mut self, run_id: &str, mark: Mark) -> Result<(), sqlx::Error> {
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
    pub(super) async fn finish(&mut self, ends: Vec<End>) -> Result<(), sqlx::Error> {
        let mut last_words = Vec::new();
        let mut ended = Vec::new();
        let mut seen = HashSet::new();
        for (run_id, finish, outcome) in ends {
            if !seen.insert(Arc::clone(&run_id)) {
                settle(&outcome, Finished::AlreadyTerminal);
                continue;
            }
            let row = ended_row(&run_id, &finish);
            if let Some(save) = finish.conversation {
                // A conversation is not stored for a run that has ended.
                let is_alive = self.is_alive(&run_id).await?;
                if is_alive && !self.save(save).await? {
                    settle(&outcome, Finished::ConversationConflict);
                    continue;
                }
            }
            ended.push(row);
            last_words.push((run_id, finish.last_words, outcome));
        }
        let won = self.end_alive(ended).await?;
        let mut batches = Vec::new();
        for (run_id, batch, outcome) in last_words {
            if won.contains(&*run_id) {
                batches.extend(batch.filter(|batch| batch.len() > 0).map(|it| (run_id, it)));
            } else {
                settle(&outcome, Finished::AlreadyTerminal);
            }
        }
        self.append(&batches).await
    }

    /// The ends that nobody waits for. Whoever made the last words may not have known what was
    /// stored, and a number that is taken would fail this again and again.
    pub(super) async fn end(&mut self, ended: &[Ended]) -> Result<(), sqlx::Error> {
        let mut seen = HashSet::new();
        let first = ended.iter().filter(|(run_id, _)| seen.insert(run_id));
        let rows = first.map(|(run_id, finish)| ended_row(run_id, finish));
        let mut won = self.end_alive(rows.collect()).await?;
        for (run_id, finish) in ended {
            let last_words = finish.last_words.as_ref().filter(|it| it.len() > 0);
            if let (true, Some(batch)) = (won.remove(&**run_id), last_words) {
                sqlx::query(
                    "insert into run_events (run_id, first, count, lines) select ?1, coalesce(\
                     (select first + count from run_events where run_id = ?1 \
                     order by first desc limit 1), 0), ?2, ?3",
                )
                .bind(&**run_id)
                .bind(signed(batch.len()))
                .bind(&batch.lines()[..])
                .execute(&mut *self.transaction)
                .await?;
            }
        }
        Ok(())
    }

    /// Those of them that were alive.
    async fn end_alive(&mut self, ended: Vec<Value>) -> Result<HashSet<String>, sqlx::Error> {
        let mut won = HashSet::new();
        if ended.is_empty() {
            return Ok(won);
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
        for row in rows {
            won.insert(row.try_get::<String, _>(0)?);
        }
        sqlx::query("delete from run_marks where run_id in (select value from json_each(?))")
            .bind(json!(won).to_string())
            .execute(&mut *self.transaction)
            .await?;
        Ok(won)
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
}

fn ended_row(run_id: &str, finish: &Finish) -> Value {
    let usage = usage_json(finish.usage.as_ref());
    json!([run_id, finish.state.as_str(), finish.ended_at, usage])
}

fn settle(outcome: &Outcome, finished: Finished) {
    *outcome.lock().unwrap_or_else(PoisonError::into_inner) = finished;
}

pub(super) fn answering_later(answer: Answer<Finished>, outcome: Outcome) -> Told {
    Box::new(move |committed| {
        let finished = *outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = answer.send(committed.map(|()| finished));
    })
}

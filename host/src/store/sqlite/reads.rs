//! What is read, by as many as ask: each from what was committed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use mortise_plugin_api::Principal;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::super::{
    AnswerKind, ConversationKey, DailyUsage, EventBatch, RunFilter, RunState, StoredCheckpoint,
    StoredConversation, StoredRun, UnfinishedRun, Used, Whose,
};
use super::{signed, unsigned};
use crate::config::Money;

const RUN_COLUMNS: &str = "run_id, tenant, subject, scopes, agent, conversation_id, answer, state, \
                           created_at, ended_at, usage";

pub(super) async fn run(
    readers: &SqlitePool,
    run_id: &str,
) -> Result<Option<StoredRun>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("select ");
    query.push(RUN_COLUMNS).push(" from runs where run_id = ");
    let query = query.push_bind(run_id).build();
    let row = query.fetch_optional(readers).await?;
    row.as_ref().map(stored_run).transpose()
}

pub(super) async fn runs(
    readers: &SqlitePool,
    filter: &RunFilter,
) -> Result<Vec<StoredRun>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("select ");
    query.push(RUN_COLUMNS).push(" from runs where ");
    push_whose(&mut query, &filter.whose);
    if let Some(agent) = &filter.agent {
        query.push(" and agent = ").push_bind(agent);
    }
    if let Some(id) = &filter.conversation_id {
        query.push(" and conversation_id = ").push_bind(id);
    }
    if let Some(state) = filter.state {
        query.push(" and state = ").push_bind(state.as_str());
    }
    if let Some(before) = &filter.before {
        query.push(" and run_id < ").push_bind(before);
    }
    // Ids begin with the time.
    query.push(" order by run_id desc limit ");
    let query = query.push_bind(i64::from(filter.limit)).build();
    let rows = query.fetch_all(readers).await?;
    Ok(readable("runs", &rows, stored_run))
}

/// The condition that something is theirs.
pub(super) fn push_whose(query: &mut QueryBuilder<Sqlite>, whose: &Whose) {
    match whose {
        Whose::Everybody => query.push("true"),
        Whose::Tenant(tenant) => query.push("tenant = ").push_bind(tenant),
        Whose::Principal(owner) => query
            .push("tenant = ")
            .push_bind(&owner.tenant)
            .push(" and subject = ")
            .push_bind(&owner.subject),
    };
}

pub(super) async fn unfinished_runs(
    readers: &SqlitePool,
) -> Result<Vec<UnfinishedRun>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("select ");
    query.push(RUN_COLUMNS).push(
        ", request, checkpoint, checkpoint_next, \
         (select first + count from run_events where run_events.run_id = runs.run_id \
          order by first desc limit 1) as next \
         from runs where ended_at is null order by run_id",
    );
    let rows = query.build().fetch_all(readers).await?;
    let mut unfinished = Vec::with_capacity(rows.len());
    for row in rows {
        match unfinished_run(readers, &row).await {
            Ok(run) => unfinished.push(run),
            Err(error) if is_of_row(&error) => pass_over("runs", &row, &error),
            Err(error) => return Err(error),
        }
    }
    Ok(unfinished)
}

async fn unfinished_run(
    readers: &SqlitePool,
    row: &SqliteRow,
) -> Result<UnfinishedRun, sqlx::Error> {
    let run = stored_run(row)?;
    let checkpoint = match row.try_get("checkpoint")? {
        None => None,
        Some(json) => Some(StoredCheckpoint {
            json,
            next: unsigned(row.try_get("checkpoint_next")?),
            since: marks(readers, &run.id).await?,
        }),
    };
    Ok(UnfinishedRun {
        run,
        request: row.try_get("request")?,
        checkpoint,
        next: row.try_get::<Option<i64>, _>("next")?.map_or(0, unsigned),
    })
}

async fn marks(readers: &SqlitePool, run_id: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select mark from run_marks where run_id = ? order by number")
        .bind(run_id)
        .fetch_all(readers)
        .await
}

pub(super) async fn events(
    readers: &SqlitePool,
    run_id: &str,
    next: u64,
    limit: u64,
) -> Result<Vec<EventBatch>, sqlx::Error> {
    let mut rows = sqlx::query(
        "select first, lines from run_events where run_id = ?1 and first >= coalesce(\
         (select max(first) from run_events where run_id = ?1 and first <= ?2), 0) order by first",
    )
    .bind(run_id)
    .bind(signed(next))
    .fetch(readers);
    let end = next.saturating_add(limit);
    let mut batches = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let lines: Vec<u8> = row.try_get("lines")?;
        let mut batch = EventBatch::new(unsigned(row.try_get("first")?), Bytes::from(lines));
        batch.advance_to(next);
        let reached = batch.end();
        if batch.len() > 0 {
            batches.push(batch);
        }
        if reached >= end {
            break;
        }
    }
    Ok(batches)
}

pub(super) async fn conversation(
    readers: &SqlitePool,
    key: &ConversationKey,
) -> Result<Option<StoredConversation>, sqlx::Error> {
    let row = sqlx::query(
        "select items, version from conversations \
         where tenant = ? and subject = ? and agent = ? and id = ?",
    )
    .bind(&key.tenant)
    .bind(&key.subject)
    .bind(&key.agent)
    .bind(&key.id)
    .fetch_optional(readers)
    .await?;
    row.map(|row| {
        Ok(StoredConversation {
            items: Arc::new(json(&row, "items")?),
            version: unsigned(row.try_get("version")?),
        })
    })
    .transpose()
}

pub(super) async fn usage(
    readers: &SqlitePool,
    owner: &Principal,
    since: u64,
) -> Result<Vec<DailyUsage>, sqlx::Error> {
    let rows = sqlx::query(
        "select day, runs, input_tokens, output_tokens, total_tokens, cost from daily_usage \
         where tenant = ? and subject = ? and day >= ? order by day desc",
    )
    .bind(&owner.tenant)
    .bind(&owner.subject)
    .bind(signed(since))
    .fetch_all(readers)
    .await?;
    let daily = |row: &SqliteRow| {
        let number = |column| row.try_get(column).map(unsigned);
        Ok(DailyUsage {
            day: number("day")?,
            used: Used {
                runs: number("runs")?,
                input_tokens: number("input_tokens")?,
                output_tokens: number("output_tokens")?,
                total_tokens: number("total_tokens")?,
                cost: Money::from_billionths(number("cost")?),
            },
        })
    };
    rows.iter().map(daily).collect()
}

pub(super) async fn state(
    readers: &SqlitePool,
    instance: &str,
    key: &str,
) -> Result<Option<Value>, sqlx::Error> {
    let row = sqlx::query("select value from plugin_state where instance = ? and key = ?")
        .bind(instance)
        .bind(key)
        .fetch_optional(readers)
        .await?;
    row.map(|row| json(&row, "value")).transpose()
}

/// What can be read of these rows; the others are passed over.
pub(super) fn readable<T>(
    table: &str,
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Vec<T> {
    let read = |row| {
        read(row)
            .inspect_err(|error| pass_over(table, row, error))
            .ok()
    };
    rows.iter().filter_map(read).collect()
}

/// Says which row cannot be read, and what is to be done about it. Its first column is its key.
pub(super) fn pass_over(table: &str, row: &SqliteRow, error: &sqlx::Error) {
    let key: &str = row.try_get(0).unwrap_or_default();
    tracing::error!(
        table,
        key,
        %error,
        "a row of the database cannot be read, and is passed over: stop the server, and correct or \
         delete the row"
    );
}

/// Whether what is wrong is what stands in a row, which somebody may have changed by hand, and not
/// the database.
pub(super) fn is_of_row(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)
    )
}

fn stored_run(row: &SqliteRow) -> Result<StoredRun, sqlx::Error> {
    let mut owner = Principal::new(row.try_get::<String, _>("subject")?);
    owner.tenant = row.try_get("tenant")?;
    owner.scopes = json(row, "scopes")?;
    let usage: Option<&str> = row.try_get("usage")?;
    Ok(StoredRun {
        id: row.try_get::<&str, _>("run_id")?.into(),
        owner: Arc::new(owner),
        agent: row.try_get::<&str, _>("agent")?.into(),
        conversation_id: row.try_get("conversation_id")?,
        answer: named(row, "answer", AnswerKind::named)?,
        created_at: unsigned(row.try_get("created_at")?),
        state: named(row, "state", RunState::named)?,
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(unsigned),
        usage: usage.and_then(|usage| serde_json::from_str(usage).ok()),
    })
}

/// A name that somebody may have changed by hand.
fn named<T>(
    row: &SqliteRow,
    column: &'static str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<T, sqlx::Error> {
    let name: &str = row.try_get(column)?;
    find(name).ok_or_else(|| unreadable(column, format!("there is no {column} {name:?}")))
}

pub(super) fn json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error.to_string()))
}

fn unreadable(column: &str, message: String) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: message.into(),
    }
}

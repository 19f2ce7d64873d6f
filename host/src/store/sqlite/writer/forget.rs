//! What is forgotten: what is older than is to be kept, or more.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::super::signed;
use super::group::Group;
use crate::clock::millis;
use crate::store::USAGE_DAYS;

/// How many of each are forgotten at once.
const AT_ONCE: u64 = 1000;
/// How long a client may repeat a request with its key.
const KEYS_KEPT: Duration = Duration::from_hours(24);

// === impl Group ===

impl Group<'_> {
    /// Forgets what is older than is to be kept, or more; whether that is all for now.
    pub(super) async fn forget(&mut self) -> Result<bool, sqlx::Error> {
        let oldest = self.now.saturating_sub(millis(self.limits.finished_for));
        let most = self.limits.finished_runs as u64;
        let runs: Vec<String> = sqlx::query_scalar(AssertSqlSafe(over("runs", "run_id")))
            .bind(signed(oldest))
            .bind(signed(most))
            .bind(signed(AT_ONCE))
            .fetch_all(&mut *self.transaction)
            .await?;
        if !runs.is_empty() {
            let ids = json!(runs).to_string();
            for statement in [
                "delete from run_events where run_id in (select value from json_each(?))",
                "delete from runs where run_id in (select value from json_each(?))",
            ] {
                sqlx::query(statement)
                    .bind(&ids)
                    .execute(&mut *self.transaction)
                    .await?;
            }
        }
        let jobs = over("jobs", "rowid");
        let jobs = format!("delete from jobs where rowid in ({jobs})");
        let jobs = sqlx::query(AssertSqlSafe(jobs))
            .bind(signed(oldest))
            .bind(signed(most))
            .bind(signed(AT_ONCE))
            .execute(&mut *self.transaction)
            .await?;
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
        let conversations = sqlx::query(
            "delete from conversations where rowid in \
             (select rowid from conversations order by changed_at desc limit ? offset ?)",
        )
        .bind(signed(AT_ONCE))
        .bind(signed(self.limits.conversations as u64))
        .execute(&mut *self.transaction)
        .await?;
        let forgotten = [
            runs.len() as u64,
            jobs.rows_affected(),
            conversations.rows_affected(),
        ];
        Ok(forgotten.iter().all(|count| *count < AT_ONCE))
    }
}

/// What has ended before `?1`, and the oldest beyond `?2` that have ended: the first `?3` of them. The
/// last of them is looked up in the index; to look at each that is kept would hold up every commit.
fn over(table: &str, id: &str) -> String {
    format!(
        "select {id} from {table} where ended_at is not null and (ended_at, {id}) <= (\
         select * from (select * from (select ended_at, {id} from {table} \
         where ended_at is not null order by ended_at desc, {id} desc limit 1 offset ?2) \
         union all select ?1, null) order by 1 desc, 2 desc limit 1) \
         order by ended_at, {id} limit ?3"
    )
}

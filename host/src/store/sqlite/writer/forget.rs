//! What is forgotten: what is older than is to be kept, or more.

use std::time::Duration;

use serde_json::json;

use super::super::{jobs, signed};
use super::group::Group;
use crate::clock::millis;
use crate::store::USAGE_DAYS;

/// How many of each are forgotten at once.
const AT_ONCE: i64 = 1000;
/// How long a client may repeat a request with its key.
const KEYS_KEPT: Duration = Duration::from_hours(24);

// === impl Group ===

impl Group<'_> {
    /// Forgets what is older than is to be kept, or more.
    pub(super) async fn forget(&mut self) -> Result<(), sqlx::Error> {
        let oldest = self.now.saturating_sub(millis(self.limits.finished_for));
        let forgotten: Vec<String> = sqlx::query_scalar(
            "select run_id from runs where ended_at is not null and (ended_at < ?1 \
             or run_id not in (select run_id from runs where ended_at is not null \
             order by ended_at desc limit ?2)) order by ended_at limit ?3",
        )
        .bind(signed(oldest))
        .bind(signed(self.limits.finished_runs as u64))
        .bind(AT_ONCE)
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
        jobs::forget(&mut self.transaction, oldest, most, AT_ONCE).await?;
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
        .bind(AT_ONCE)
        .bind(signed(self.limits.conversations as u64))
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}

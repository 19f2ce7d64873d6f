//! Whether there is room for one more row, without counting them for each.

use sqlx::SqliteConnection;

use super::unsigned;

/// How many rows there are at most: what has gone is noticed when they are counted anew, which is
/// not before there seems to be no room.
#[derive(Debug, Default)]
pub(super) struct Room {
    at_most: Option<u64>,
}

// === impl Room ===

impl Room {
    /// Takes the room for one more beside `most` others, where there is any.
    pub(super) async fn take(
        &mut self,
        connection: &mut SqliteConnection,
        count: &'static str,
        most: usize,
    ) -> Result<bool, sqlx::Error> {
        let most = most as u64;
        let present = match self.at_most.filter(|present| *present < most) {
            Some(present) => present,
            None => unsigned(sqlx::query_scalar(count).fetch_one(connection).await?),
        };
        let has_room = present < most;
        self.at_most = Some(present + u64::from(has_room));
        Ok(has_room)
    }

    /// There is one more, which needs no room.
    pub(super) fn add(&mut self) {
        self.at_most = self.at_most.map(|present| present + 1);
    }
}

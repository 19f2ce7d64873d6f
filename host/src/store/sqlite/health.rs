//! Why nothing can be stored at present: what the last commit failed for, or damage, which stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::error::DatabaseError;

use crate::store::StoreError;

/// Why nothing can be stored, where that is so. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<Mutex<Condition>>);

#[derive(Debug, Default)]
struct Condition {
    failure: Option<StoreError>,
    /// Not before the next start is the database used again.
    is_damaged: bool,
}

// === impl Health ===

impl Health {
    pub(super) fn get(&self) -> Option<StoreError> {
        self.condition().failure.clone()
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.condition().is_damaged
    }

    /// What a commit came to; a page that can be written says nothing of those that are damaged.
    pub(super) fn set(&self, failure: Option<StoreError>) {
        let mut condition = self.condition();
        if !condition.is_damaged {
            condition.failure = failure;
        }
    }

    /// Remembers damage, whether it was met in writing or in reading.
    pub(super) fn notice(&self, error: &sqlx::Error) {
        let mut condition = self.condition();
        if !is_damage(error) || condition.is_damaged {
            return;
        }
        *condition = Condition {
            failure: Some(StoreError(error.to_string())),
            is_damaged: true,
        };
        drop(condition);
        tracing::error!(
            %error,
            "the database is damaged: stop the server, and put a backup in its place; until then \
             nothing is stored"
        );
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether SQLite has found what is in the file to be wrong.
fn is_damage(error: &sqlx::Error) -> bool {
    const CORRUPT: i32 = 11;
    const NO_DATABASE: i32 = 26;
    let code = error.as_database_error().and_then(DatabaseError::code);
    let code = code.and_then(|code| code.parse::<i32>().ok());
    // What is above the first byte says more of the same.
    code.is_some_and(|code| [CORRUPT, NO_DATABASE].contains(&(code & 0xff)))
}

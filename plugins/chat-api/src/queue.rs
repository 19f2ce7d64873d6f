//! One turn after the other in each session.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// The sessions in which somebody begins a turn.
#[derive(Default)]
pub(crate) struct Queue(Arc<Mutex<Table>>);

type Table = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The right to begin a turn, given back when it is dropped.
pub(crate) struct Place {
    table: Arc<Mutex<Table>>,
    key: String,
    guard: Option<OwnedMutexGuard<()>>,
}

// === impl Queue ===

impl Queue {
    /// Waits for whoever came before.
    pub(crate) async fn enter(&self, key: String) -> Place {
        let lock = Arc::clone(lock(&self.0).entry(key.clone()).or_default());
        let mut place = Place {
            table: Arc::clone(&self.0),
            key,
            guard: None,
        };
        place.guard = Some(lock.lock_owned().await);
        place
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&lock(&self.0).len()).finish()
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.guard = None;
        let mut table = lock(&self.table);
        // Whoever waits holds the lock too, and took it while holding the table.
        if table
            .get(&self.key)
            .is_some_and(|own| Arc::strong_count(own) == 1)
        {
            table.remove(&self.key);
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

//! One after the other, key by key.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Lets in one after the other for each key, in the order in which they came: requests of one
/// session, say. Keys that nobody is at take no room.
///
/// ```
/// use mortise_plugin_api::Queue;
///
/// async fn answer(queue: &Queue, session: &str) {
///     let _turn = queue.enter(session).await;
///     // Nobody else is here with this session.
/// }
/// ```
#[derive(Default)]
pub struct Queue(Arc<Mutex<Table>>);

type Table = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The right to be there, given back when it is dropped.
#[must_use = "dropped at once, it lets the next one in at once"]
pub struct Turn {
    table: Arc<Mutex<Table>>,
    key: String,
    guard: Option<OwnedMutexGuard<()>>,
}

// === impl Queue ===

impl Queue {
    /// Waits for whoever came before with the same key.
    pub async fn enter(&self, key: impl Into<String>) -> Turn {
        let key = key.into();
        let own = Arc::clone(lock(&self.0).entry(key.clone()).or_default());
        let mut turn = Turn {
            table: Arc::clone(&self.0),
            key,
            guard: None,
        };
        turn.guard = Some(own.lock_owned().await);
        turn
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&lock(&self.0).len()).finish()
    }
}

// === impl Turn ===

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut table = lock(&self.table);
        // Whoever waits holds the lock too, and took it while holding the table.
        let own = table.get(&self.key);
        if own.is_some_and(|own| Arc::strong_count(own) == 1) {
            table.remove(&self.key);
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.key).finish()
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_is_let_in_for_each_key_and_nothing_stays_behind() {
        let queue = Queue::default();
        let first = queue.enter("a").await;
        let other = queue.enter("b").await;
        let mut second = Box::pin(queue.enter("a"));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        drop(second.await);
        // Whoever gives up waiting leaves nothing behind either.
        let held = queue.enter("a").await;
        assert!(queue.enter("a").now_or_never().is_none());
        drop((held, other));
        assert_eq!(lock(&queue.0).len(), 0);
    }
}

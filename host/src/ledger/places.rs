//! Places: what only so many requests may have at once.

use std::sync::{Arc, Mutex, PoisonError};

use mortise_plugin_api::{Error, Result, Taken};

use super::{KeyHash, Ledger};

/// The places of one request. They are free when it is over, at the latest when this is dropped.
pub(crate) struct Places {
    ledger: Arc<Ledger>,
    /// `None` once the request is over.
    held: Mutex<Option<Vec<KeyHash>>>,
}

// === impl Places ===

impl Places {
    pub(crate) fn of(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            held: Mutex::new(Some(Vec::new())),
        }
    }

    /// Takes one of `max` places of a key in a scope.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the request is over: nobody would leave the place.
    pub(crate) fn hold(&self, scope: &str, key: &str, max: u32) -> Result<Taken> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held
            .as_mut()
            .ok_or_else(|| Error::unavailable("the request is over"))?;
        let key = self.ledger.hash(scope, key);
        let taken = self.ledger.enter(key, max);
        if taken.is_allowed {
            held.push(key);
        }
        Ok(taken)
    }

    /// Whether the request holds any.
    pub(crate) fn are_held(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|held| !held.is_empty())
    }

    /// The request is over.
    pub(crate) fn free(&self) {
        let held = self
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for key in held.into_iter().flatten() {
            self.ledger.leave(key);
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.free();
    }
}

// === impl Ledger ===

impl Ledger {
    fn enter(&self, key: KeyHash, max: u32) -> Taken {
        let mut shard = self.shard(key);
        let taken = shard.places.get(&key).copied().unwrap_or_default();
        if taken >= max {
            return Taken::refused(0);
        }
        shard.places.insert(key, taken + 1);
        Taken::allowed(max - taken - 1)
    }

    fn leave(&self, key: KeyHash) {
        let mut shard = self.shard(key);
        match shard.places.get_mut(&key) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => {
                shard.places.remove(&key);
            }
        }
    }
}

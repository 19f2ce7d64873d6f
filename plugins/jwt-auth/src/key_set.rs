//! The key set of an issuer, read again from time to time and when a token names a new key.
//!
//! One task reads; requests ask it to and wait. So however many requests ask there is one reading
//! at a time, and a client that hangs up does not end it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mortise_plugin_api::prelude::tracing;
use mortise_plugin_api::serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::algorithm::Algorithm;
use crate::json;
use crate::key::{self, Key};
use crate::keyring::Keyring;
use crate::source::{Place, ReadError, Source};

/// The keys of an issuer that publishes them.
#[derive(Debug)]
pub(crate) struct KeySet {
    settings: Settings,
    state: watch::Sender<State>,
    /// A token names a key that is not there.
    wanted: Notify,
    generation: Arc<Generation>,
}

/// Where a key set is and when it is read.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    pub(crate) ca: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) refresh: Duration,
    pub(crate) cooldown: Duration,
    pub(crate) timeout: Duration,
}

/// Counts the changes of keys, so that what was verified with former keys can be told.
#[derive(Debug, Default)]
pub(crate) struct Generation(AtomicU64);

#[derive(Debug, Default)]
struct State {
    /// The last good ones; `None` until there were any.
    keys: Option<Arc<Keyring>>,
    digest: [u8; 32],
    /// How often it was tried.
    readings: u64,
    is_reading: bool,
    /// No request makes us read before that.
    not_before: Option<Instant>,
}

/// Why a key set could not be read or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeySetError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("it is no key set: a JSON object with a list `keys`, and no name twice")]
    NoKeySet,
    #[error("it has more than {MOST_KEYS} keys")]
    TooManyKeys,
    #[error("it has no key that may be used with the configured algorithms")]
    NoUsableKey,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key set {place}: {source}")]
pub(crate) struct StartError {
    place: Place,
    source: KeySetError,
}

const MOST_KEYS: usize = 100;

// === impl KeySet ===

impl KeySet {
    pub(crate) fn new(settings: Settings, generation: Arc<Generation>) -> Self {
        Self {
            settings,
            state: watch::Sender::new(State::default()),
            wanted: Notify::new(),
            generation,
        }
    }

    /// The last good keys; `None` as long as there were none.
    pub(crate) fn keys(&self) -> Option<Arc<Keyring>> {
        self.state.borrow().keys.clone()
    }

    /// Waits until the set was read again; says whether it was. It is not where that was tried a
    /// short while ago.
    pub(crate) async fn read_again(&self) -> bool {
        let mut state = self.state.subscribe();
        let readings = {
            let state = state.borrow();
            if !state.is_reading && state.not_before.is_some_and(|it| Instant::now() < it) {
                return false;
            }
            state.readings
        };
        self.wanted.notify_one();
        let read = state.wait_for(|state| state.readings > readings);
        // The reading has a timeout of its own; this one is for a task that is gone.
        let patience = self.settings.timeout + Duration::from_secs(1);
        tokio::time::timeout(patience, read)
            .await
            .is_ok_and(|it| it.is_ok())
    }

    /// Reads for the first time, and gives what will go on reading.
    ///
    /// # Errors
    /// When the source cannot be opened, or a file not be used: both are the operator's mistake.
    /// A network that is down may come back.
    pub(crate) async fn start(
        self: &Arc<Self>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, StartError> {
        let Settings {
            place, ca, timeout, ..
        } = &self.settings;
        let failed = |source| StartError {
            place: place.clone(),
            source,
        };
        let source = Source::open(place.clone(), ca.as_deref(), *timeout);
        let source = source.map_err(|error| failed(error.into()))?;
        if let (Err(error), Place::File(_)) = (self.read(&source).await, place) {
            return Err(failed(error));
        }
        let own = Arc::clone(self);
        Ok(async move { own.keep_reading(&source).await })
    }

    async fn keep_reading(&self, source: &Source) {
        let mut is_good = self.keys().is_some();
        loop {
            let wait = if is_good {
                self.settings.refresh
            } else {
                self.settings.cooldown
            };
            let next = Instant::now() + wait;
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => break,
                    () = self.wanted.notified() => {
                        // Somebody who asked while it was being read has been answered by that.
                        let not_before = self.state.borrow().not_before;
                        if not_before.is_none_or(|it| Instant::now() >= it) {
                            break;
                        }
                    }
                }
            }
            is_good = self.read(source).await.is_ok();
        }
    }

    /// Reads once, and keeps the former keys when that fails.
    async fn read(&self, source: &Source) -> Result<(), KeySetError> {
        let Settings {
            place,
            algorithms,
            cooldown,
            ..
        } = &self.settings;
        self.state.send_modify(|state| {
            state.is_reading = true;
            state.not_before = Some(Instant::now() + *cooldown);
        });
        let read = match source.read().await {
            Ok(text) => keys(&text, algorithms).map(|keys| (keys, Sha256::digest(&text).into())),
            Err(error) => Err(error.into()),
        };
        let mut is_new = false;
        let outcome = match read {
            Ok((keys, digest)) => {
                self.state.send_modify(|state| {
                    is_new = state.keys.is_none() || state.digest != digest;
                    if is_new {
                        state.keys = Some(Arc::new(keys));
                        state.digest = digest;
                    }
                    state.readings += 1;
                    state.is_reading = false;
                });
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    place = %place, error = %error,
                    "cannot read a key set; the last good one stays"
                );
                self.state.send_modify(|state| {
                    state.readings += 1;
                    state.is_reading = false;
                });
                Err(error)
            }
        };
        if is_new {
            // After the keys: who sees the new number verifies with the new keys.
            self.generation.next();
            tracing::info!(place = %place, "the key set is new");
        }
        outcome
    }
}

// === impl Settings ===

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("place", &self.place)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

// === impl Generation ===

impl Generation {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn next(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The usable keys of a set. Others are for other purposes or systems, and do not harm.
fn keys(text: &[u8], algorithms: &[Algorithm]) -> Result<Keyring, KeySetError> {
    let mut set = json::object(text).map_err(|_| KeySetError::NoKeySet)?;
    let Some(Value::Array(entries)) = set.remove("keys") else {
        return Err(KeySetError::NoKeySet);
    };
    if entries.len() > MOST_KEYS {
        return Err(KeySetError::TooManyKeys);
    }
    let is_alone = entries.len() == 1;
    let mut keys: Vec<Key> = Vec::new();
    for (place, entry) in entries.into_iter().enumerate() {
        let Value::Object(entry) = entry else {
            return Err(KeySetError::NoKeySet);
        };
        let key = key::jwk(entry).and_then(|jwk| Key::from_jwk(&jwk, algorithms));
        let key = match key {
            Ok(key) => key,
            Err(error) => {
                tracing::debug!(place, error = %error, "a key of a set is left out");
                continue;
            }
        };
        if key.id.is_none() && !is_alone {
            tracing::warn!(
                place,
                "a key of a set has no `kid` among others, and is left out"
            );
        } else if keys.iter().any(|before| before.id == key.id) {
            tracing::warn!(
                place,
                "a key of a set has the `kid` of one before, and is left out"
            );
        } else {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Err(KeySetError::NoUsableKey);
    }
    Ok(Keyring::new(keys))
}

#[cfg(test)]
mod tests;

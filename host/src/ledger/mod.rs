//! The ledger: how much keys have taken of their limits, and the places that requests hold.
//!
//! It belongs to the server and not to a plugin, so that an instance that is made anew finds what
//! was counted before. Nothing here waits.

mod bucket;
mod places;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use mortise_plugin_api::{Error, Limit, Result, Taken};
use tokio::time::Instant;

use self::bucket::Bucket;
use self::window::Window;
use crate::clock::Clock;

pub(crate) use self::places::Places;

/// What was taken, by key.
pub(crate) struct Ledger {
    shards: Box<[Mutex<Shard>]>,
    /// How many keys a shard remembers.
    most_keys: usize,
    /// Two, since one number of 64 bits might be that of another key.
    hashers: [RandomState; 2],
    time: Time,
}

/// What a key is remembered by: clients choose keys, and may choose long ones.
type KeyHash = [u64; 2];

/// The keys that share a lock.
struct Shard {
    /// The one that was asked for longest ago goes first.
    counts: LruCache<KeyHash, (Limit, Count)>,
    /// How many places are taken; a key without any is not there.
    places: HashMap<KeyHash, u32>,
}

enum Count {
    Window(Window),
    Bucket(Bucket),
}

/// The time of day, and the time since the server started, which nobody sets back.
#[derive(Debug, Clone, Copy)]
struct Time {
    clock: Clock,
    started: Instant,
}

/// How many keys are remembered: some 50 MB of them.
const KEYS: usize = 1 << 18;
/// Many more than there are threads, so that they rarely want the same one.
const SHARDS: usize = 64;
/// Ten years, as everywhere.
const LONGEST_PERIOD: Duration = Duration::from_hours(10 * 365 * 24);

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Self::with_keys(KEYS, clock)
    }

    /// At most so many keys, rounded up to whole shards.
    fn with_keys(keys: usize, clock: Clock) -> Arc<Self> {
        let shard = || {
            Mutex::new(Shard {
                // Bounded by hand: a bound would reserve the memory for all of them.
                counts: LruCache::unbounded(),
                places: HashMap::new(),
            })
        };
        Arc::new(Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            most_keys: keys.div_ceil(SHARDS),
            hashers: [RandomState::new(), RandomState::new()],
            time: Time {
                clock,
                started: Instant::now(),
            },
        })
    }

    /// Takes `count` of what a key in a scope may take.
    ///
    /// # Errors
    /// `BAD_REQUEST` for a limit that could never grant it.
    pub(crate) fn take(&self, scope: &str, key: &str, limit: Limit, count: u32) -> Result<Taken> {
        check(limit, count)?;
        let key = self.hash(scope, key);
        let mut shard = self.shard(key);
        let now = self.time.since_start();
        let (known, tally) = shard
            .counts
            .get_or_insert_mut(key, || (limit, Count::new(limit, self.time)));
        if *known != limit {
            (*known, *tally) = (limit, Count::new(limit, self.time));
        }
        let taken = match tally {
            Count::Window(window) => window.take(limit, count, now, self.time.clock),
            Count::Bucket(bucket) => bucket.take(limit, count, now, self.time.clock),
        };
        if shard.counts.len() > self.most_keys {
            shard.counts.pop_lru();
        }
        Ok(taken)
    }

    fn hash(&self, scope: &str, key: &str) -> KeyHash {
        let [first, second] = &self.hashers;
        [first.hash_one((scope, key)), second.hash_one((scope, key))]
    }

    fn shard(&self, [hash, _]: KeyHash) -> MutexGuard<'_, Shard> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "any of its bits choose a shard"
        )]
        let shard = &self.shards[hash as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(limit: Limit, count: u32) -> Result<()> {
    let (max, period) = (limit.max(), limit.period());
    if max == 0 {
        return Err(Error::bad_request("a limit holds at least 1"));
    }
    if period.is_zero() || period > LONGEST_PERIOD {
        return Err(Error::bad_request(
            "the period of a limit is 1 ms to ten years",
        ));
    }
    if count == 0 || count > max {
        return Err(Error::bad_request(format!(
            "{count} cannot be taken of a limit that holds {max}; take 1 to {max}"
        )));
    }
    Ok(())
}

// === impl Count ===

impl Count {
    fn new(limit: Limit, time: Time) -> Self {
        match limit {
            Limit::Bucket { max, period_ms } => Self::Bucket(Bucket::new(max, period_ms, time)),
            _ => Self::Window(Window::default()),
        }
    }
}

// === impl Time ===

impl Time {
    fn since_start(self) -> Duration {
        self.started.elapsed()
    }
}

/// Rounded up, so that who waits so long does not come too early.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

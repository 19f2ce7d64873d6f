//! What the fake host counts for [`Host::take`](crate::Host::take) and
//! [`Host::hold`](crate::Host::hold).

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::limit::{Limit, Taken};
use crate::time::millis;

/// What was taken, by key.
#[derive(Default)]
pub(super) struct Counted {
    windows: BTreeMap<String, Window>,
    buckets: BTreeMap<String, Bucket>,
    places: BTreeMap<String, u32>,
}

#[derive(Default)]
struct Window {
    begins: u64,
    used: u32,
}

/// Levels are tokens times the period, so that a millisecond adds a whole number.
struct Bucket {
    level: u64,
    at: u64,
}

// === impl Counted ===

impl Counted {
    pub(super) fn take(&mut self, key: &str, limit: Limit, count: u32, now: u64) -> Result<Taken> {
        let (max, period_ms) = (limit.max(), millis(limit.period()));
        if count == 0 || count > max || period_ms == 0 {
            return Err(Error::bad_request("no such limit holds so much"));
        }
        let key = key.to_owned();
        Ok(match limit {
            Limit::Window { .. } => self.windows.entry(key).or_default().take(
                max,
                count,
                now - now % period_ms,
                (period_ms, now),
            ),
            Limit::Bucket { .. } => {
                let full = Bucket {
                    level: u64::from(max) * period_ms,
                    at: now,
                };
                let bucket = self.buckets.entry(key).or_insert(full);
                bucket.take(max, count, period_ms, now)
            }
        })
    }

    pub(super) fn hold(&mut self, key: &str, max: u32) -> Taken {
        let held = self.places.entry(key.to_owned()).or_default();
        if *held >= max {
            return Taken::refused(0);
        }
        *held += 1;
        Taken::allowed(max - *held)
    }

    pub(super) fn free_places(&mut self) {
        self.places.clear();
    }
}

impl Window {
    fn take(&mut self, max: u32, count: u32, begins: u64, (period_ms, now): (u64, u64)) -> Taken {
        if self.begins != begins {
            *self = Self { begins, used: 0 };
        }
        let resets_at = begins + period_ms;
        if count > max - self.used {
            return Taken::refused(max - self.used)
                .with_retry_after_ms(resets_at - now)
                .with_resets_at(resets_at);
        }
        self.used += count;
        Taken::allowed(max - self.used).with_resets_at(resets_at)
    }
}

impl Bucket {
    fn take(&mut self, max: u32, count: u32, period_ms: u64, now: u64) -> Taken {
        let (rate, full) = (u64::from(max), u64::from(max) * period_ms);
        self.level = full.min(self.level + (now - self.at) * rate);
        self.at = now;
        let wanted = u64::from(count) * period_ms;
        if wanted > self.level {
            let wait = (wanted - self.level).div_ceil(rate);
            return Taken::refused(self.tokens(period_ms))
                .with_retry_after_ms(wait)
                .with_resets_at(now + wait);
        }
        self.level -= wanted;
        let wait = (full - self.level).div_ceil(rate);
        Taken::allowed(self.tokens(period_ms)).with_resets_at(now + wait)
    }

    fn tokens(&self, period_ms: u64) -> u32 {
        u32::try_from(self.level / period_ms).unwrap_or(u32::MAX)
    }
}

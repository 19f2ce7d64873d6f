//! A count that begins anew with each window of time.

use std::time::Duration;

use mortise_plugin_api::{Limit, Taken};

use super::millis;
use crate::clock::Clock;

/// What was taken in the window at hand.
///
/// The time of day says where a window ends, when it begins. From then on only the time that
/// passes counts, so that a clock that is set neither ends a window nor makes it longer.
#[derive(Debug, Default)]
pub(super) struct Window {
    used: u32,
    /// Since the server started.
    ends: Duration,
    /// In milliseconds since 1970.
    ends_at: u64,
}

// === impl Window ===

impl Window {
    pub(super) fn take(&mut self, limit: Limit, count: u32, now: Duration, clock: Clock) -> Taken {
        if now >= self.ends {
            *self = Self::beginning(millis(limit.period()), now, clock.now_millis());
        }
        let left = limit.max() - self.used;
        if count > left {
            return Taken::refused(left)
                .with_retry_after_ms(millis(self.ends.saturating_sub(now)))
                .with_resets_at(self.ends_at);
        }
        self.used += count;
        Taken::allowed(left - count).with_resets_at(self.ends_at)
    }

    fn beginning(period: u64, now: Duration, time_of_day: u64) -> Self {
        let left = period - time_of_day % period;
        Self {
            used: 0,
            ends: now + Duration::from_millis(left),
            ends_at: time_of_day.saturating_add(left),
        }
    }
}

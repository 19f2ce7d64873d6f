//! A bucket of tokens that fills evenly.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use mortise_plugin_api::{Limit, Taken};

use super::{Time, millis};
use crate::clock::Clock;

pub(super) struct Bucket(RateLimiter<NotKeyed, InMemoryState, Time, StateInformationMiddleware>);

// === impl Bucket ===

impl Bucket {
    pub(super) fn new(max: u32, period_ms: u64, time: Time) -> Self {
        let max = NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN);
        // A token in less than a nanosecond is one in a nanosecond.
        let each = (Duration::from_millis(period_ms) / max.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(each)
            .expect("a nanosecond or more is not nothing")
            .allow_burst(max);
        Self(RateLimiter::new(quota, InMemoryState::default(), time))
    }

    pub(super) fn take(&self, limit: Limit, count: u32, now: Duration, clock: Clock) -> Taken {
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let time_of_day = clock.now_millis();
        match self.0.check_n(count) {
            Ok(Ok(state)) => {
                let left = state.remaining_burst_capacity();
                let each = limit.period() / limit.max();
                let full = millis(each.saturating_mul(limit.max().saturating_sub(left)));
                Taken::allowed(left).with_resets_at(time_of_day.saturating_add(full))
            }
            Ok(Err(refused)) => {
                let wait = millis(refused.wait_time_from(now));
                Taken::refused(0)
                    .with_retry_after_ms(wait)
                    .with_resets_at(time_of_day.saturating_add(wait))
            }
            // The ledger lets nobody ask for more than a bucket holds.
            Err(_) => Taken::refused(0),
        }
    }
}

impl clock::Clock for Time {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.since_start()
    }
}

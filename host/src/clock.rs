//! The time of day, and durations as it counts them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the time of day comes from; tests set it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    now_millis: fn() -> u64,
}

// === impl Clock ===

impl Clock {
    /// The clock of the machine.
    pub(crate) const SYSTEM: Self = Self {
        now_millis: system_millis,
    };

    /// Another clock.
    #[cfg(test)]
    pub(crate) const fn of(now_millis: fn() -> u64) -> Self {
        Self { now_millis }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_millis(self) -> u64 {
        (self.now_millis)()
    }
}

/// A duration in milliseconds; one that is too long is the longest there is.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
fn system_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    millis(since)
}

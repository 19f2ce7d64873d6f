//! The time, as an argument: tests can set it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The clock of the machine.
    pub(crate) fn system() -> Self {
        Self(Arc::new(system_millis))
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_millis(&self) -> u64 {
        (self.0)()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
fn system_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

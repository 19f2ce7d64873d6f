//! How much a key may take, and what came of taking.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::millis;

/// How much a key may take: of a window of time, or of a bucket that fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Limit {
    /// So much in each window. Windows begin at multiples of their length since 1970, and what one
    /// leaves is not added to the next.
    Window {
        /// How much in each; at least 1.
        max: u32,
        /// How long a window is, in milliseconds: 1 to ten years.
        period_ms: u64,
    },
    /// A bucket that is full at first and fills evenly.
    Bucket {
        /// How much it holds; at least 1.
        max: u32,
        /// How long it takes from empty to full, in milliseconds: 1 to ten years.
        period_ms: u64,
    },
}

/// What came of taking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Taken {
    /// Whether there was enough. Where there was not, nothing was taken.
    pub is_allowed: bool,
    /// How much is left.
    pub remaining: u32,
    /// Where there was not enough: when there will be, in milliseconds from now. 0 for places,
    /// which are free when somebody leaves.
    pub retry_after_ms: u64,
    /// When everything is there again, in milliseconds since 1970; of a bucket that refuses, when
    /// there will be enough. 0 for places.
    pub resets_at: u64,
}

// === impl Limit ===

impl Limit {
    /// So much in each window of this length.
    pub fn window(max: u32, period: Duration) -> Self {
        Self::Window {
            max,
            period_ms: millis(period),
        }
    }

    /// A bucket that holds so much and fills within this time.
    pub fn bucket(max: u32, period: Duration) -> Self {
        Self::Bucket {
            max,
            period_ms: millis(period),
        }
    }

    /// How much a window or a full bucket holds.
    pub fn max(&self) -> u32 {
        match *self {
            Self::Window { max, .. } | Self::Bucket { max, .. } => max,
        }
    }

    /// The length of a window, or how long a bucket takes to fill.
    pub fn period(&self) -> Duration {
        match *self {
            Self::Window { period_ms, .. } | Self::Bucket { period_ms, .. } => {
                Duration::from_millis(period_ms)
            }
        }
    }
}

// === impl Taken ===

impl Taken {
    /// There was enough.
    pub fn allowed(remaining: u32) -> Self {
        Self {
            is_allowed: true,
            remaining,
            retry_after_ms: 0,
            resets_at: 0,
        }
    }

    /// There was not enough.
    pub fn refused(remaining: u32) -> Self {
        Self {
            is_allowed: false,
            ..Self::allowed(remaining)
        }
    }

    /// With the time until there is enough, in milliseconds.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = retry_after_ms;
        self
    }

    /// With the time at which everything is there again, in milliseconds since 1970.
    #[must_use]
    pub fn with_resets_at(mut self, resets_at: u64) -> Self {
        self.resets_at = resets_at;
        self
    }
}

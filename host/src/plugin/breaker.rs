//! Switches a plugin off for a while when it keeps panicking.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// This many panics …
pub(super) const PANICS: usize = 5;
/// … within this time …
const WINDOW: Duration = Duration::from_mins(1);
/// … switch a plugin off for this long.
const PAUSE: Duration = Duration::from_secs(30);

/// Counts the panics of one instance.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Whether there is anything to look at in `state`: nearly always not.
    open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    panics: VecDeque<Instant>,
    open_until: Option<Instant>,
}

// === impl Breaker ===

impl Breaker {
    /// Whether the plugin may have been switched off; cheap, for every call.
    pub(super) fn may_be_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// How much longer the plugin is off; `None` while it is on.
    pub(super) fn off_for(&self, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = state.open_until?.saturating_duration_since(now);
        if left.is_zero() {
            *state = State::default();
            self.open.store(false, Ordering::Release);
            return None;
        }
        Some(left)
    }

    /// Counts one panic; whether it was the one too many.
    pub(super) fn count_panic(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .panics
            .retain(|&earlier| now.saturating_duration_since(earlier) <= WINDOW);
        state.panics.push_back(now);
        if state.panics.len() < PANICS || state.open_until.is_some() {
            return false;
        }
        state.open_until = Some(now + PAUSE);
        self.open.store(true, Ordering::Release);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_panics_in_a_minute_switch_off_for_half_a_minute() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..PANICS - 1 {
            assert!(!breaker.count_panic(now));
        }
        assert!(!breaker.may_be_open());
        assert!(breaker.count_panic(now));
        assert!(breaker.may_be_open());
        assert_eq!(breaker.off_for(now), Some(PAUSE));
        let later = now + PAUSE;
        assert_eq!(breaker.off_for(later), None);
        assert!(
            !breaker.count_panic(later),
            "it counts from the start again"
        );
    }

    #[test]
    fn rare_panics_do_not_add_up() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..3 * PANICS {
            assert!(!breaker.count_panic(now));
            now += WINDOW / 3;
        }
    }
}

//! Ids: `run_<time>_<counter>_<random>`, all in base 36, the random part from the system.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const RANDOM_DIGITS: usize = 16;

/// Makes ids; one counter for all kinds.
#[derive(Clone)]
pub(crate) struct Ids {
    clock: Clock,
    counter: Arc<AtomicU64>,
}

// === impl Ids ===

impl Ids {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            counter: Arc::new(AtomicU64::new(0)),
        }
    }

    /// The id of a run.
    pub(crate) fn run(&self) -> String {
        self.make("run_")
    }

    /// The id of a job.
    pub(crate) fn job(&self) -> String {
        self.make("job_")
    }

    /// The id of one life of the server.
    pub(crate) fn life(&self) -> String {
        self.make("life_")
    }

    /// The id of a message.
    pub(crate) fn message(&self) -> String {
        self.make("msg_")
    }

    /// The id of a tool call that no model made.
    pub(crate) fn call(&self) -> String {
        self.make("call_")
    }

    /// The id of a request.
    pub(crate) fn request(&self) -> String {
        self.make("req_")
    }

    fn make(&self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + 32);
        id.push_str(prefix);
        push_base36(&mut id, self.clock.now_millis(), 1);
        id.push('_');
        push_base36(&mut id, self.counter.fetch_add(1, Ordering::Relaxed), 4);
        id.push('_');
        push_random(&mut id);
        id
    }
}

fn push_base36(text: &mut String, mut number: u64, width: usize) {
    let mut digits = [b'0'; 13];
    let mut at = digits.len();
    while number > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] = DIGITS[usize::try_from(number % 36).unwrap_or_default()];
        number /= 36;
    }
    text.extend(digits[at..].iter().copied().map(char::from));
}

fn push_random(text: &mut String) {
    // 256 is no multiple of 36: the upper 4 values would make some digits likelier.
    const FAIR: u8 = 252;
    let mut left = RANDOM_DIGITS;
    while left > 0 {
        let byte = random_byte();
        if byte < FAIR {
            text.push(char::from(DIGITS[usize::from(byte % 36)]));
            left -= 1;
        }
    }
}

/// A byte from the system, which is asked once for many: each question is a system call.
fn random_byte() -> u8 {
    const BATCH: usize = 512;
    thread_local! {
        static BYTES: RefCell<([u8; BATCH], usize)> = const { RefCell::new(([0; BATCH], BATCH)) };
    }
    BYTES.with_borrow_mut(|(bytes, used)| {
        if *used == BATCH {
            getrandom::fill(bytes).expect("the system has a source of randomness");
            *used = 0;
        }
        // Each byte leaves the memory as it is used: an id cannot be read out afterwards.
        let byte = std::mem::take(&mut bytes[*used]);
        *used += 1;
        byte
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_time_a_counter_and_sixteen_random_digits() {
        let ids = Ids::new(Clock::SYSTEM);
        let id = ids.run();
        let parts: Vec<&str> = id.split('_').collect();
        assert_eq!(parts.len(), 4);
        assert_eq!((parts[0], parts[2], parts[3].len()), ("run", "0000", 16));
        assert_eq!(ids.message().split('_').nth(2), Some("0001"));
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let ids = Ids::new(Clock::SYSTEM);
        let many: std::collections::HashSet<String> = (0..10_000).map(|_| ids.run()).collect();
        assert_eq!(many.len(), 10_000);
    }
}

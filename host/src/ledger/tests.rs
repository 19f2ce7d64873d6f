//! What is counted, exactly, and what is forgotten.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::*;

/// 2026-01-01, and a clock that tests set.
const NEW_YEAR: u64 = 1_767_225_600_000;
static TIME_OF_DAY: AtomicU64 = AtomicU64::new(NEW_YEAR);
const SET_BY_HAND: Clock = Clock::of(|| TIME_OF_DAY.load(Ordering::Relaxed));
const STANDING: Clock = Clock::of(|| NEW_YEAR);

fn ledger() -> Arc<Ledger> {
    Ledger::new(STANDING)
}

fn window(max: u32, period_ms: u64) -> Limit {
    Limit::window(max, Duration::from_millis(period_ms))
}

fn bucket(max: u32, period_ms: u64) -> Limit {
    Limit::bucket(max, Duration::from_millis(period_ms))
}

fn is_allowed(ledger: &Ledger, key: &str, limit: Limit) -> bool {
    ledger.take("a", key, limit, 1).unwrap().is_allowed
}

async fn pass(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn a_window_grants_so_much_and_then_nothing_until_it_ends() {
    let ledger = ledger();
    let limit = window(3, 10_000);
    let taken = |remaining| Taken::allowed(remaining).with_resets_at(NEW_YEAR + 10_000);
    for remaining in [2, 1, 0] {
        assert_eq!(ledger.take("a", "k", limit, 1).unwrap(), taken(remaining));
    }
    pass(4_000).await;
    assert_eq!(
        ledger.take("a", "k", limit, 1).unwrap(),
        Taken::refused(0)
            .with_retry_after_ms(6_000)
            .with_resets_at(NEW_YEAR + 10_000)
    );
    assert!(is_allowed(&ledger, "other", limit));
    assert!(ledger.take("b", "k", limit, 1).unwrap().is_allowed);
    pass(5_999).await;
    assert!(!is_allowed(&ledger, "k", limit));
    pass(1).await;
    assert!(is_allowed(&ledger, "k", limit));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_takes_nothing() {
    let ledger = ledger();
    for limit in [window(10, 60_000), bucket(10, 60_000)] {
        let key = format!("{limit:?}");
        let take = |count| ledger.take("a", &key, limit, count).unwrap();
        assert_eq!(take(7).remaining, 3);
        assert!(!take(4).is_allowed);
        assert_eq!(take(3).remaining, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn windows_end_where_the_time_of_day_is_a_multiple_of_their_length() {
    static EARLY: Clock = Clock::of(|| NEW_YEAR + 7_300);
    let ledger = Ledger::new(EARLY);
    let taken = ledger.take("a", "k", window(1, 10_000), 1).unwrap();
    assert_eq!(taken.resets_at, NEW_YEAR + 10_000);
    let refused = ledger.take("a", "k", window(1, 10_000), 1).unwrap();
    assert_eq!(refused.retry_after_ms, 2_700);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_neither_ends_a_window_nor_makes_it_longer() {
    let ledger = Ledger::new(SET_BY_HAND);
    let limit = window(1, 10_000);
    for set_to in [NEW_YEAR - 3_600_000, NEW_YEAR + 86_400_000, 0, NEW_YEAR] {
        assert!(is_allowed(&ledger, "k", limit));
        TIME_OF_DAY.store(set_to, Ordering::Relaxed);
        pass(9_999).await;
        assert!(!is_allowed(&ledger, "k", limit), "set to {set_to}");
        pass(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_fills_evenly() {
    let ledger = ledger();
    let limit = bucket(4, 8_000);
    for remaining in [3, 2, 1, 0] {
        assert_eq!(
            ledger.take("a", "k", limit, 1).unwrap().remaining,
            remaining
        );
    }
    assert_eq!(
        ledger.take("a", "k", limit, 1).unwrap(),
        Taken::refused(0)
            .with_retry_after_ms(2_000)
            .with_resets_at(NEW_YEAR + 2_000)
    );
    pass(1_999).await;
    assert!(!is_allowed(&ledger, "k", limit));
    pass(1).await;
    assert!(is_allowed(&ledger, "k", limit));
    assert!(!is_allowed(&ledger, "k", limit));
    pass(60_000).await;
    for _ in 0..4 {
        assert!(is_allowed(&ledger, "k", limit));
    }
    assert!(!is_allowed(&ledger, "k", limit), "it never holds more");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_periods_of_a_bucket_are_off_by_one_at_most() {
    let ledger = ledger();
    // A third of a millisecond each: it cannot be told without a rest.
    let limit = bucket(3, 1);
    let mut granted = 0;
    for _ in 0..10_000 {
        while is_allowed(&ledger, "k", limit) {
            granted += 1;
        }
        pass(1).await;
    }
    assert!((30_000..=30_001).contains(&granted), "{granted}");
}

#[test]
fn exactly_so_much_is_granted_whoever_asks_at_the_same_time() {
    for limit in [window(137, 86_400_000), bucket(137, 86_400_000)] {
        let ledger = ledger();
        let granted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if is_allowed(&ledger, "k", limit) {
                            granted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(granted.into_inner(), 137, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_limit_begins_anew() {
    let ledger = ledger();
    assert!(is_allowed(&ledger, "k", window(1, 60_000)));
    assert!(!is_allowed(&ledger, "k", window(1, 60_000)));
    assert!(is_allowed(&ledger, "k", window(2, 60_000)));
    assert!(is_allowed(&ledger, "k", bucket(1, 60_000)));
}

#[test]
fn limits_that_could_never_grant_are_refused() {
    let ledger = ledger();
    let cases = [
        (window(0, 1_000), 1),
        (bucket(0, 1_000), 1),
        (window(1, 0), 1),
        (bucket(1, 0), 1),
        (window(1, u64::MAX), 1),
        (bucket(1, u64::MAX), 1),
        (window(5, 1_000), 0),
        (bucket(5, 1_000), 6),
        (bucket(5, 1_000), u32::MAX),
    ];
    for (limit, count) in cases {
        let refused = ledger.take("a", "k", limit, count).unwrap_err();
        assert_eq!(refused.code(), Some("BAD_REQUEST"), "{limit:?} {count}");
    }
}

#[test]
fn the_largest_limits_are_counted() {
    let ledger = ledger();
    let longest = 10 * 365 * 24 * 60 * 60 * 1_000;
    for limit in [
        window(u32::MAX, longest),
        bucket(u32::MAX, longest),
        window(u32::MAX, 1),
        bucket(u32::MAX, 1),
        bucket(1, longest),
    ] {
        let taken = ledger.take("a", &format!("{limit:?}"), limit, limit.max());
        assert!(taken.unwrap().is_allowed, "{limit:?}");
    }
}

#[test]
fn the_key_that_was_idle_longest_is_forgotten_first() {
    let ledger = Ledger::with_keys(SHARDS * 8, STANDING);
    let limit = window(1, 86_400_000);
    assert!(is_allowed(&ledger, "busy", limit));
    assert!(is_allowed(&ledger, "idle", limit));
    // Far more keys than there is room for, one of them asked for again and again.
    for number in 0..100_000 {
        assert!(is_allowed(&ledger, &number.to_string(), limit));
        assert!(!is_allowed(&ledger, "busy", limit));
    }
    assert!(is_allowed(&ledger, "idle", limit));
    let kept: usize = (0..SHARDS)
        .map(|shard| ledger.shards[shard].lock().unwrap().counts.len())
        .sum();
    assert_eq!(kept, SHARDS * 8);
}

#[test]
fn keys_are_told_apart_however_they_are_written() {
    let ledger = ledger();
    let limit = window(1, 86_400_000);
    let long = "x".repeat(1_000_000);
    for (scope, key) in [
        ("a", "b:c"),
        ("a:b", "c"),
        ("a", "b\r\nc"),
        ("a", ""),
        ("", "a"),
        ("a", &long),
        ("a", &long[1..]),
        ("a\u{ff}", "b"),
        ("a", "\u{ff}b"),
    ] {
        let taken = ledger.take(scope, key, limit, 1).unwrap();
        assert!(taken.is_allowed, "{scope:?} {key:.20}");
    }
}

#[test]
fn a_place_is_free_again_when_its_request_is_over() {
    let ledger = ledger();
    let request = || Places::of(Arc::clone(&ledger));
    let (first, second, third) = (request(), request(), request());
    assert_eq!(first.hold("a", "k", 2).unwrap(), Taken::allowed(1));
    assert_eq!(second.hold("a", "k", 2).unwrap(), Taken::allowed(0));
    assert_eq!(third.hold("a", "k", 2).unwrap(), Taken::refused(0));
    assert!(third.hold("b", "k", 2).unwrap().is_allowed);
    assert!(!request().are_held() && first.are_held());

    first.free();
    first.free();
    assert!(third.hold("a", "k", 2).unwrap().is_allowed);
    assert!(!request().hold("a", "k", 2).unwrap().is_allowed);
    drop(second);
    assert!(request().hold("a", "k", 2).unwrap().is_allowed);

    let late = first.hold("a", "k", 2).unwrap_err();
    assert_eq!(late.code(), Some("UNAVAILABLE"));
    drop(third);
    let left: usize = (0..SHARDS)
        .map(|shard| ledger.shards[shard].lock().unwrap().places.len())
        .sum();
    assert_eq!(left, 0, "a key without places is not kept");
}

//! What outlives servers that are killed and readers that are cut: a little of what
//! `cargo xtask soak` does at length.

use std::time::Duration;

use integration_tests::soak::{cuts, kills};

#[test]
fn nothing_is_lost_or_done_twice_when_a_server_is_killed_under_load() {
    let report = kills::run(5, Duration::ZERO);

    assert_eq!(report.kills, 5);
    assert_eq!(report.findings.count, 0, "{report}");
}

#[test]
fn readers_that_are_cut_anywhere_get_every_event_once() {
    let report = cuts::run(200, Duration::ZERO);

    assert!(report.cuts >= 200 && report.live > 0, "{report}");
    assert_eq!(report.findings.count, 0, "{report}");
}

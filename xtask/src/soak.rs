//! `cargo xtask soak`: what outlives servers that are killed and readers that are cut.

use std::time::Duration;

use integration_tests::soak::{
    cuts,
    kills::{self, READY_WITHIN},
};

use crate::tools::{Done, build, say};

/// How long it takes.
struct Plan {
    kills: usize,
    cuts: usize,
    /// Each of both takes at least as long.
    seconds: u64,
}

pub(crate) fn soak(arguments: &[&str]) -> Done {
    let plan = Plan::read(arguments)?;
    build()?;
    let at_least = Duration::from_secs(plan.seconds);
    let mut violations = 0;
    if plan.kills > 0 {
        let report = kills::run(plan.kills, at_least);
        say(&report.to_string());
        violations += report.findings.count;
        if report.slowest_restart > READY_WITHIN {
            say(&format!("  a restart took longer than {READY_WITHIN:?}"));
            violations += 1;
        }
    }
    if plan.cuts > 0 {
        let report = cuts::run(plan.cuts, at_least);
        say(&report.to_string());
        violations += report.findings.count;
    }
    match violations {
        0 => Ok(()),
        count => Err(format!("{count} violations")),
    }
}

impl Plan {
    fn read(arguments: &[&str]) -> Result<Self, String> {
        let mut plan = Self {
            kills: 100,
            cuts: 10_000,
            seconds: 0,
        };
        for pair in arguments.chunks(2) {
            let usage = || {
                let pair = pair.join(" ");
                format!("{pair:?} is not `--kills N`, `--cuts N` or `--seconds S`")
            };
            let [name, number] = pair else {
                return Err(usage());
            };
            match (*name, number.parse::<u32>()) {
                ("--kills", Ok(number)) => plan.kills = number as usize,
                ("--cuts", Ok(number)) => plan.cuts = number as usize,
                ("--seconds", Ok(number)) => plan.seconds = number.into(),
                _ => return Err(usage()),
            }
        }
        Ok(plan)
    }
}

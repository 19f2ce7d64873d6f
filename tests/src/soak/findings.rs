//! What was not as it must be.

use std::fmt;

/// Findings that are told; all are counted.
const TOLD: usize = 40;

/// What was not as it must be, in words.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many there are.
    pub count: usize,
    told: Vec<String>,
}

impl Findings {
    pub(super) fn add(&mut self, finding: String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(finding);
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(other.told.into_iter().take(room));
    }

    /// One more, unless it holds.
    pub(super) fn expect(&mut self, holds: bool, finding: impl FnOnce() -> String) {
        if !holds {
            self.add(finding());
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violations", self.count)?;
        for finding in &self.told {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

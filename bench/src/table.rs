//! The one table that is printed.

use std::fmt;

use crate::sample::{Sample, median};

/// Rows of what was compared, and notes below.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
    notes: Vec<String>,
}

const HEAD: [&str; 6] = ["what", "floor", "ours", "ratio", "spread", "target"];

// === impl Table ===

impl Table {
    /// A row of requests in a second: more is better.
    pub(crate) fn rate(&mut self, what: &str, floor: &[Sample], ours: &[Sample], target: &str) {
        self.row(
            what,
            floor,
            ours,
            target,
            |it| it.rate,
            |it| format!("{it:.0}/s"),
        );
    }

    /// A row of the usual time of a request: less is better.
    pub(crate) fn p50(&mut self, what: &str, floor: &[Sample], ours: &[Sample], target: &str) {
        self.row(
            what,
            floor,
            ours,
            target,
            |it| it.p50,
            |it| format!("{it:.3} ms"),
        );
    }

    /// A row of the time of the slowest hundredth: less is better.
    pub(crate) fn p99(&mut self, what: &str, floor: &[Sample], ours: &[Sample], target: &str) {
        self.row(
            what,
            floor,
            ours,
            target,
            |it| it.p99,
            |it| format!("{it:.3} ms"),
        );
    }

    /// A line below the table.
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// The ratio is the median of the rounds' ratios: both sides of a round saw the same machine.
    fn row(
        &mut self,
        what: &str,
        floor: &[Sample],
        ours: &[Sample],
        target: &str,
        value: impl Fn(&Sample) -> f64,
        shown: impl Fn(f64) -> String,
    ) {
        let ratios: Vec<f64> = floor
            .iter()
            .zip(ours)
            .map(|(floor, ours)| value(ours) / value(floor))
            .collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let middle = |samples: &[Sample]| shown(median(samples.iter().map(&value).collect()));
        self.rows.push([
            what.to_owned(),
            middle(floor),
            middle(ours),
            format!("{:.2}", median(ratios)),
            format!("{least:.2} to {most:.2}"),
            target.to_owned(),
        ]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(str::to_owned);
        let rule = HEAD.map(|_| "---".to_owned());
        for row in [&head, &rule].into_iter().chain(&self.rows) {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_the_median_of_the_ratios() {
        let sample = |rate| Sample {
            rate,
            p50: 1.0,
            p99: 1.0,
        };
        let mut table = Table::default();

        table.rate(
            "x",
            &[sample(100.0), sample(200.0), sample(100.0)],
            &[sample(50.0), sample(150.0), sample(90.0)],
            "",
        );

        assert!(
            table
                .to_string()
                .contains("| x | 100/s | 90/s | 0.75 | 0.50 to 0.90 |  |"),
            "{table}"
        );
    }
}

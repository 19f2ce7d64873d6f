//! What one measurement says, and how it is told from one process to another.

use std::str::FromStr;

/// Some seconds of load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Finished requests in a second.
    pub(crate) rate: f64,
    /// The time in which half of them were done, in milliseconds.
    pub(crate) p50: f64,
    /// The time in which 99 of 100 were done, in milliseconds.
    pub(crate) p99: f64,
}

// === impl Sample ===

impl Sample {
    /// Of the times of all requests in milliseconds.
    pub(crate) fn of(mut times: Vec<f64>, seconds: f64) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        let last = times.len().checked_sub(1)?;
        let at = |percent: usize| times[last * percent / 100];
        #[expect(clippy::cast_precision_loss, reason = "no load makes 2^52 requests")]
        let count = times.len() as f64;
        Some(Self {
            rate: count / seconds,
            p50: at(50),
            p99: at(99),
        })
    }

    /// As a line of text.
    pub(crate) fn to_line(self) -> String {
        format!("{} {} {}", self.rate, self.p50, self.p99)
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let numbers: Vec<f64> = line
            .split_whitespace()
            .map_while(|it| it.parse().ok())
            .collect();
        match numbers[..] {
            [rate, p50, p99] => Ok(Self { rate, p50, p99 }),
            _ => Err(format!("{line:?} is no measurement")),
        }
    }
}

/// The one in the middle: the others were disturbed one way or the other.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_survives_being_told() {
        let sample = Sample::of(vec![3.0, 1.0, 2.0], 1.0).unwrap();
        assert_eq!(sample.p50.to_string(), "2");
        assert_eq!(sample.to_line().parse(), Ok(sample));
        assert!("3 x".parse::<Sample>().is_err());
    }

    #[test]
    fn the_median_of_rounds_ignores_one_bad_round() {
        assert_eq!(median(vec![100.0, 1.0, 2.0]).to_string(), "2");
    }
}

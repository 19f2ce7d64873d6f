//! Numbers that plugins report.

/// A number that a plugin reports.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub(crate) struct Metric<'a> {
    /// What kind of number.
    pub kind: MetricKind,
    /// The name, such as `books_lent_total`.
    pub name: &'a str,
    /// The number.
    pub value: f64,
    /// What tells one series of this name from another.
    pub labels: &'a [(&'a str, &'a str)],
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Added up.
    Counter,
    /// Replaced.
    Gauge,
    /// Put into a histogram.
    Histogram,
}

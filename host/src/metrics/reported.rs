//! The numbers that plugins report: which are taken, and under which name.
//!
//! `mortise_plugin_LIBRARY_NAME{plugin="INSTANCE",…}`: libraries do not get into each other's way, and
//! a name has one kind and one set of labels, as Prometheus wants it. What is not taken is counted
//! and logged, and nothing fails.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use mortise_plugin_api::MetricKind;
use mortise_plugin_api::ffi::labels;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, Opts, Registry,
};

use super::{HISTOGRAM_LINES, seconds};

/// The numbers that one instance reports. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Reported(Option<Arc<Numbers>>);

/// The names that plugins have used, of all instances.
pub(super) struct Families {
    registry: Registry,
    by_name: Mutex<HashMap<String, Family>>,
}

/// All series of one name.
struct Family {
    collector: Collector,
    /// Beside `plugin`, in the order of their names.
    labels: Vec<String>,
}

enum Collector {
    Counter(CounterVec),
    Gauge(GaugeVec),
    Histogram(HistogramVec),
}

pub(super) struct Numbers {
    instance: String,
    /// What stands before each name.
    prefix: String,
    families: Arc<Families>,
    dropped: IntCounter,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// By name, and by labels as they were reported.
    series: HashMap<String, HashMap<String, Series>>,
    /// How many lines they have on the page; the same labels in another order count again.
    lines: usize,
    /// What was complained about already.
    complaints: HashSet<String>,
}

#[derive(Clone)]
enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Why a number is not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0} is no number that it can take: it is finite, and a counter only grows")]
    Value(f64),
    #[error(
        "a name has 1 to {LONGEST_NAME} ASCII letters, digits and underscores, and does not end in \
         _bucket, _sum or _count"
    )]
    Name,
    #[error("its labels are no `key=value` pairs joined with commas")]
    Labels,
    #[error(
        "the label {0:?} cannot be: a name has ASCII letters, digits and underscores, does not begin \
         with a digit or two underscores, and is none of `plugin`, `le` and `quantile`; it is there \
         once, and a value has at most {LONGEST_VALUE} bytes"
    )]
    Label(String),
    #[error("it has been a {0} before, and a name keeps its kind")]
    Kind(&'static str),
    #[error("it has had the labels [{0}] before, and a name keeps the names of its labels")]
    LabelNames(String),
    #[error("the server has a number of this name")]
    Taken,
    #[error("the instance has {MOST_LINES} series, and has no more")]
    Full,
}

/// How many lines the numbers of one instance have on the page.
const MOST_LINES: usize = 1000;
/// How many names of an instance are complained about.
const MOST_COMPLAINTS: usize = 100;
const LONGEST_NAME: usize = 100;
const LONGEST_VALUE: usize = 128;

// === impl Reported ===

impl Reported {
    pub(super) fn new(numbers: Option<Numbers>) -> Self {
        Self(numbers.map(Arc::new))
    }

    /// Takes a number, or drops it. `labels` are in the form in which they cross.
    pub(crate) fn report(&self, kind: MetricKind, name: &str, value: f64, labels: &str) {
        if let Some(numbers) = &self.0
            && let Err(refused) = numbers.take(kind, name, value, labels)
        {
            numbers.complain(name, &refused);
        }
    }
}

// === impl Numbers ===

impl Numbers {
    fn take(&self, kind: MetricKind, name: &str, value: f64, labels: &str) -> Result<(), Refused> {
        if !value.is_finite() || kind == MetricKind::Counter && value < 0.0 {
            return Err(Refused::Value(value));
        }
        let known = self.read();
        if let Some(series) = known.series(name, labels) {
            return series.take(kind, value);
        }
        drop(known);
        self.open(kind, name, labels)?.take(kind, value)
    }

    /// A series that is not known yet.
    #[cold]
    fn open(&self, kind: MetricKind, name: &str, labels: &str) -> Result<Series, Refused> {
        if !is_name(name)
            || ["_bucket", "_sum", "_count"]
                .iter()
                .any(|it| name.ends_with(it))
        {
            return Err(Refused::Name);
        }
        let pairs = checked_labels(labels)?;
        let mut known = self.write();
        // Another report may have opened it since.
        if let Some(series) = known.series(name, labels) {
            return Ok(series.clone());
        }
        let lines = match kind {
            MetricKind::Counter | MetricKind::Gauge => 1,
            MetricKind::Histogram => HISTOGRAM_LINES,
        };
        if known.lines + lines > MOST_LINES {
            return Err(Refused::Full);
        }
        let full_name = format!("{}{name}", self.prefix);
        let series = self
            .families
            .series(kind, &full_name, &self.instance, &pairs)?;
        known.lines += lines;
        let of_name = known.series.entry(name.to_owned()).or_default();
        of_name.insert(labels.to_owned(), series.clone());
        Ok(series)
    }

    #[cold]
    fn complain(&self, name: &str, refused: &Refused) {
        self.dropped.inc();
        let name: String = match refused {
            Refused::Full => String::new(),
            _ => name.chars().take(LONGEST_NAME).collect(),
        };
        if self.read().complaints.contains(&name) {
            return;
        }
        let mut known = self.write();
        if known.complaints.len() < MOST_COMPLAINTS && known.complaints.insert(name.clone()) {
            drop(known);
            tracing::warn!(
                plugin = self.instance,
                name,
                "a number is dropped: {refused}"
            );
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl Known {
    fn series(&self, name: &str, labels: &str) -> Option<&Series> {
        self.series.get(name)?.get(labels)
    }
}

// === impl Families ===

impl Families {
    pub(super) fn new(registry: &Registry) -> Arc<Self> {
        Arc::new(Self {
            registry: registry.clone(),
            by_name: Mutex::default(),
        })
    }

    pub(super) fn of_instance(
        self: &Arc<Self>,
        instance: &str,
        library: &str,
        dropped: IntCounter,
    ) -> Numbers {
        let is_plain = |it: char| it.is_ascii_alphanumeric();
        let library = library.replace(|it| !is_plain(it), "_");
        Numbers {
            instance: instance.to_owned(),
            prefix: format!("mortise_plugin_{library}_"),
            families: Arc::clone(self),
            dropped,
            known: RwLock::default(),
        }
    }

    fn series(
        &self,
        kind: MetricKind,
        name: &str,
        instance: &str,
        labels: &[(String, String)],
    ) -> Result<Series, Refused> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = by_name.get(name) {
            return family.series(kind, instance, labels);
        }
        let family = Family::new(kind, name, labels)?;
        family.register(&self.registry)?;
        let series = family.series(kind, instance, labels);
        by_name.insert(name.to_owned(), family);
        series
    }
}

// === impl Family ===

impl Family {
    fn new(kind: MetricKind, name: &str, labels: &[(String, String)]) -> Result<Self, Refused> {
        const HELP: &str = "Reported by a plugin.";
        let labels: Vec<String> = labels.iter().map(|(key, _)| key.clone()).collect();
        let keys: Vec<&str> = ["plugin"]
            .into_iter()
            .chain(labels.iter().map(String::as_str))
            .collect();
        let opts = Opts::new(name, HELP);
        let collector = match kind {
            MetricKind::Counter => CounterVec::new(opts, &keys).map(Collector::Counter),
            MetricKind::Gauge => GaugeVec::new(opts, &keys).map(Collector::Gauge),
            MetricKind::Histogram => {
                HistogramVec::new(seconds(name, HELP), &keys).map(Collector::Histogram)
            }
        };
        let collector = collector.map_err(|_| Refused::Name)?;
        Ok(Self { collector, labels })
    }

    fn register(&self, registry: &Registry) -> Result<(), Refused> {
        let registered = match &self.collector {
            Collector::Counter(counters) => registry.register(Box::new(counters.clone())),
            Collector::Gauge(gauges) => registry.register(Box::new(gauges.clone())),
            Collector::Histogram(histograms) => registry.register(Box::new(histograms.clone())),
        };
        registered.map_err(|_| Refused::Taken)
    }

    fn series(
        &self,
        kind: MetricKind,
        instance: &str,
        labels: &[(String, String)],
    ) -> Result<Series, Refused> {
        if !self.labels.iter().eq(labels.iter().map(|(key, _)| key)) {
            return Err(Refused::LabelNames(self.labels.join(", ")));
        }
        let values = labels.iter().map(|(_, value)| value.as_str());
        let values: Vec<&str> = [instance].into_iter().chain(values).collect();
        let series = match (&self.collector, kind) {
            (Collector::Counter(counters), MetricKind::Counter) => {
                Series::Counter(counters.with_label_values(&values))
            }
            (Collector::Gauge(gauges), MetricKind::Gauge) => {
                Series::Gauge(gauges.with_label_values(&values))
            }
            (Collector::Histogram(histograms), MetricKind::Histogram) => {
                Series::Histogram(histograms.with_label_values(&values))
            }
            (collector, _) => return Err(Refused::Kind(collector.kind())),
        };
        Ok(series)
    }
}

impl Collector {
    fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

// === impl Series ===

impl Series {
    fn take(&self, kind: MetricKind, value: f64) -> Result<(), Refused> {
        match (self, kind) {
            (Self::Counter(counter), MetricKind::Counter) => counter.inc_by(value),
            (Self::Gauge(gauge), MetricKind::Gauge) => gauge.set(value),
            (Self::Histogram(histogram), MetricKind::Histogram) => histogram.observe(value),
            (Self::Counter(_), _) => return Err(Refused::Kind("counter")),
            (Self::Gauge(_), _) => return Err(Refused::Kind("gauge")),
            (Self::Histogram(_), _) => return Err(Refused::Kind("histogram")),
        }
        Ok(())
    }
}

/// The labels in the order of their names.
fn checked_labels(text: &str) -> Result<Vec<(String, String)>, Refused> {
    let mut labels = labels::from_text(text).ok_or(Refused::Labels)?;
    labels.sort();
    for (place, (key, value)) in labels.iter().enumerate() {
        let is_taken = ["plugin", "le", "quantile"].contains(&key.as_str());
        let begins_well =
            !key.starts_with(|it: char| it.is_ascii_digit()) && !key.starts_with("__");
        let is_twice = place > 0 && labels[place - 1].0 == *key;
        if !is_name(key) || is_taken || !begins_well || is_twice || value.len() > LONGEST_VALUE {
            return Err(Refused::Label(key.chars().take(LONGEST_NAME).collect()));
        }
    }
    Ok(labels)
}

fn is_name(text: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;
    use crate::clock::Clock;

    fn metrics() -> Metrics {
        Metrics::of(true, Clock::SYSTEM)
    }

    /// The lines of what plugins reported.
    fn lines(metrics: &Metrics) -> Vec<String> {
        let page = metrics.page().unwrap();
        let lines = page.lines().filter(|it| it.starts_with("mortise_plugin_"));
        let lines = lines.filter(|it| !it.contains("_total{plugin=\"i\"} 0"));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn numbers_stand_under_the_name_of_their_library() {
        let metrics = metrics();
        let reported = metrics.reported("i", "my-lib");
        reported.report(MetricKind::Counter, "a_total", 1.5, "kind=x,by=y");
        reported.report(MetricKind::Counter, "a_total", 1.0, "by=y,kind=x");
        reported.report(MetricKind::Gauge, "b", -2.0, "");
        reported.report(MetricKind::Gauge, "b", -3.0, "");
        reported.report(MetricKind::Histogram, "c_seconds", 0.2, "");
        let lines = lines(&metrics);
        let expected = [
            r#"mortise_plugin_my_lib_a_total{by="y",kind="x",plugin="i"} 2.5"#,
            r#"mortise_plugin_my_lib_b{plugin="i"} -3"#,
            r#"mortise_plugin_my_lib_c_seconds_bucket{plugin="i",le="0.1"} 0"#,
            r#"mortise_plugin_my_lib_c_seconds_bucket{plugin="i",le="0.25"} 1"#,
            r#"mortise_plugin_my_lib_c_seconds_sum{plugin="i"} 0.2"#,
            r#"mortise_plugin_my_lib_c_seconds_count{plugin="i"} 1"#,
        ];
        for line in expected {
            assert!(lines.iter().any(|it| it == line), "{line} in {lines:#?}");
        }
        assert_eq!(lines.len(), 2 + HISTOGRAM_LINES);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nothing_else() {
        use MetricKind::{Counter, Gauge, Histogram};
        let metrics = metrics();
        let reported = metrics.reported("i", "lib");
        reported.report(Counter, "a", 1.0, "k=1");
        let long = format!("k={}", "x".repeat(LONGEST_VALUE + 1));
        let cases: [(MetricKind, &str, f64, &str); 18] = [
            (Counter, "a", -1.0, "k=1"),
            (Counter, "a", f64::NAN, "k=1"),
            (Gauge, "g", f64::INFINITY, ""),
            (Gauge, "a", 1.0, "k=1"),
            (Gauge, "a", 1.0, "k=2"),
            (Counter, "a", 1.0, ""),
            (Counter, "a", 1.0, "other=1"),
            (Counter, "a", 1.0, "k"),
            (Counter, "a", 1.0, "k=1,k=2"),
            (Counter, "a", 1.0, "plugin=me"),
            (Histogram, "h", 1.0, "le=1"),
            (Counter, "a", 1.0, "__name__=x"),
            (Counter, "a", 1.0, &long),
            (Counter, "", 1.0, ""),
            (Counter, "a b", 1.0, ""),
            (Counter, "a{}", 1.0, ""),
            (Counter, "h_bucket", 1.0, ""),
            (Counter, &"n".repeat(LONGEST_NAME + 1), 1.0, ""),
        ];
        for (kind, name, value, labels) in cases {
            reported.report(kind, name, value, labels);
        }
        let expected = [
            r#"mortise_plugin_lib_a{k="1",plugin="i"} 1"#.to_owned(),
            format!(
                "mortise_plugin_series_dropped_total{{plugin=\"i\"}} {}",
                cases.len()
            ),
        ];
        assert_eq!(lines(&metrics), expected);
    }

    #[test]
    fn a_plugin_does_not_speak_for_the_server() {
        let metrics = metrics();
        let _instance = metrics.instance("i");
        let reported = metrics.reported("i", "panics");
        reported.report(MetricKind::Counter, "total", 7.0, "");
        let dropped = r#"mortise_plugin_series_dropped_total{plugin="i"} 1"#;
        assert_eq!(lines(&metrics), [dropped]);
    }

    #[test]
    fn an_instance_has_so_many_series_and_no_more() {
        let metrics = metrics();
        let (greedy, modest) = (
            metrics.reported("greedy", "lib"),
            metrics.reported("i", "lib"),
        );
        for number in 0..MOST_LINES + 500 {
            greedy.report(MetricKind::Gauge, "a", 1.0, &format!("k={number}"));
        }
        modest.report(MetricKind::Gauge, "a", 1.0, "k=mine");
        let lines = lines(&metrics);
        assert_eq!(lines.len(), MOST_LINES + 2, "{lines:#?}");
        let dropped = r#"mortise_plugin_series_dropped_total{plugin="greedy"} 500"#;
        assert!(lines.iter().any(|it| it == dropped), "{lines:#?}");
        // What there is goes on.
        greedy.report(MetricKind::Gauge, "a", 7.0, "k=0");
        let page = metrics.page().unwrap();
        assert!(page.contains(r#"mortise_plugin_lib_a{k="0",plugin="greedy"} 7"#));
    }

    #[test]
    fn a_series_that_is_opened_twice_at_once_has_its_lines_once() {
        let reported = metrics().reported("i", "lib");
        let numbers = reported.0.unwrap();
        for _ in 0..2 {
            let opened = numbers.open(MetricKind::Histogram, "a", "k=1");
            opened.unwrap().take(MetricKind::Histogram, 1.0).unwrap();
        }
        assert_eq!(numbers.read().lines, HISTOGRAM_LINES);
    }

    #[test]
    fn without_a_page_nothing_is_kept() {
        let metrics = Metrics::default();
        let reported = metrics.reported("i", "lib");
        reported.report(MetricKind::Counter, "a", 1.0, "");
        assert!(reported.0.is_none());
        assert_eq!(metrics.page().unwrap(), "");
    }
}

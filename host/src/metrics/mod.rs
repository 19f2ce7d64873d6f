//! What the server counts, for the page of `[admin] listen`.
//!
//! `requests.rs` has what is counted of HTTP, `runs.rs` of agents and models, `instances.rs` of
//! plugin instances, and `reported.rs` the numbers that plugins report themselves. Whoever counts
//! holds meters that were made once: counting is an addition to an atomic number, and without a page
//! a look at an empty meter.

mod instances;
mod reported;
mod requests;
mod runs;

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::{Error, Result};
use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use self::instances::Instances;
use self::reported::Families;
use self::requests::Requests;
use self::runs::Runs;
use crate::clock::Clock;

pub(crate) use self::instances::InstanceMeters;
pub(crate) use self::reported::Reported;
pub(crate) use self::requests::{Begun, OpenStream, RequestMeters, RouteMeters};
pub(crate) use self::runs::{AgentMeters, RunEnded};

/// What is counted; nothing where there is no page. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Option<Arc<Page>>);

/// All that is on the page.
struct Page {
    registry: Registry,
    requests: Requests,
    runs: Runs,
    jobs: Jobs,
    instances: Instances,
    reported: Arc<Families>,
    store_failing: IntGauge,
}

/// What is counted of jobs.
#[derive(Clone)]
struct Jobs {
    enqueued: IntCounterVec,
    ended: IntCounterVec,
    running: IntGauge,
}

/// The bounds of all histograms: from a millisecond to half an hour.
const SECONDS: [f64; 16] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
];
/// How many lines a histogram has: its buckets, the last one, the sum and the count.
const HISTOGRAM_LINES: usize = SECONDS.len() + 3;

// === impl Metrics ===

impl Metrics {
    /// Metrics that begin now, if anybody wants them.
    pub(crate) fn of(is_wanted: bool, clock: Clock) -> Self {
        Self(is_wanted.then(|| Arc::new(Page::new(clock))))
    }

    /// What is counted of requests, whatever their route.
    pub(crate) fn requests(&self) -> RequestMeters {
        RequestMeters::new(self.0.as_ref().map(|page| &page.requests))
    }

    /// What is counted of a route; its template has parameters in braces.
    pub(crate) fn route(&self, method: &str, template: &str) -> RouteMeters {
        RouteMeters::new(self.0.as_ref().map(|page| &page.requests), method, template)
    }

    /// What is counted of these agents; empty where nothing is.
    pub(crate) fn agents<'n>(
        &self,
        names: impl Iterator<Item = &'n Arc<str>>,
    ) -> HashMap<Arc<str>, AgentMeters> {
        let Some(page) = &self.0 else {
            return HashMap::new();
        };
        let meters = |name: &Arc<str>| AgentMeters::new(&page.runs, name);
        names.map(|name| (Arc::clone(name), meters(name))).collect()
    }

    /// What is counted of an instance.
    pub(crate) fn instance(&self, name: &str) -> InstanceMeters {
        InstanceMeters::new(self.0.as_ref().map(|page| &page.instances), name)
    }

    /// The numbers that an instance of a library reports.
    pub(crate) fn reported(&self, instance: &str, library: &str) -> Reported {
        let page = self.0.as_ref();
        Reported::new(page.map(|page| {
            let dropped = page.instances.series_dropped(instance);
            page.reported.of_instance(instance, library, dropped)
        }))
    }

    pub(crate) fn job_enqueued(&self, agent: &str) {
        if let Some(page) = &self.0 {
            page.jobs.enqueued.with_label_values(&[agent]).inc();
        }
    }

    pub(crate) fn job_ended(&self, agent: &str, state: &str) {
        if let Some(page) = &self.0 {
            page.jobs.ended.with_label_values(&[agent, state]).inc();
        }
    }

    pub(crate) fn set_jobs_running(&self, count: usize) {
        if let Some(page) = &self.0 {
            page.jobs.running.set(gauged(count));
        }
    }

    pub(crate) fn set_store_failing(&self, fails: bool) {
        if let Some(page) = &self.0 {
            page.store_failing.set(i64::from(fails));
        }
    }

    /// The page, in the text format of Prometheus.
    ///
    /// # Errors
    /// A number that cannot be written, which is a mistake of the server.
    pub(crate) fn page(&self) -> Result<String> {
        let Some(page) = &self.0 else {
            return Ok(String::new());
        };
        let written = TextEncoder::new().encode_to_string(&page.registry.gather());
        written.map_err(|error| Error::internal(format!("the metrics cannot be written: {error}")))
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.is_some()).finish()
    }
}

// === impl Page ===

impl Page {
    fn new(clock: Clock) -> Self {
        let registry = Registry::new();
        let build = gauges(
            &registry,
            "mortise_build_info",
            "The version of the server; always 1.",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let start = gauge(
            &registry,
            "process_start_time_seconds",
            "When the server was started, in seconds since 1970.",
        );
        start.set(i64::try_from(clock.now_millis() / 1000).unwrap_or(i64::MAX));
        Self {
            requests: Requests::new(&registry),
            runs: Runs::new(&registry),
            jobs: Jobs {
                enqueued: counters(
                    &registry,
                    "mortise_jobs_enqueued_total",
                    "Jobs that were accepted.",
                    &["agent"],
                ),
                ended: counters(
                    &registry,
                    "mortise_jobs_ended_total",
                    "Jobs that have ended, by the state they ended in.",
                    &["agent", "state"],
                ),
                running: gauge(
                    &registry,
                    "mortise_jobs_running",
                    "Jobs that workers are at now.",
                ),
            },
            instances: Instances::new(&registry),
            reported: Families::new(&registry),
            store_failing: gauge(
                &registry,
                "mortise_store_failing",
                "1 while nothing can be stored, as /readyz says it; else 0.",
            ),
            registry,
        }
    }
}

// === the server's own names ===

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::new(name, help))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    registered(registry, HistogramVec::new(seconds(name, help), labels))
}

fn seconds(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(SECONDS.to_vec())
}

fn registered<C>(registry: &Registry, collector: prometheus::Result<C>) -> C
where
    C: Collector + Clone + 'static,
{
    let collector = collector.expect("the server's own names are valid");
    registry
        .register(Box::new(collector.clone()))
        .expect("the server has each name once");
    collector
}

/// A count as gauges take it.
fn gauged(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

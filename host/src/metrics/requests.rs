//! What is counted of HTTP: by route templates, never by what a client has sent.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

use super::{counters, gauge, histograms};

/// What is counted of all requests.
#[derive(Clone)]
pub(super) struct Requests {
    total: IntCounterVec,
    limited: IntCounterVec,
    duration: HistogramVec,
    in_progress: IntGauge,
    streams: IntGauge,
}

/// What is counted of requests, whatever their route.
pub(crate) struct RequestMeters(Option<Numbers>);

struct Numbers {
    in_progress: IntGauge,
    streams: IntGauge,
    /// By the place of the method in [`METHODS`]; the last one is for all others.
    unmatched: Vec<RouteMeters>,
}

/// What is counted of the requests of one route. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct RouteMeters(Option<Arc<Route>>);

struct Route {
    method: &'static str,
    template: String,
    requests: Requests,
    /// By the place of the outcome in [`OUTCOMES`]. These have no line before the first request:
    /// most servers use a few of their routes.
    total: [OnceLock<IntCounter>; OUTCOMES.len()],
    limited: OnceLock<IntCounter>,
    duration: OnceLock<Histogram>,
}

/// A request that is being answered, until this is dropped.
pub(crate) struct Begun<'m>(&'m Numbers);

/// An event stream that is open, until this is dropped.
pub(crate) struct OpenStream(IntGauge);

/// Methods that have a label of their own.
const METHODS: [&str; 9] = [
    "GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT",
];
const OTHER_METHOD: &str = "other";
/// The template of what reaches no route.
const UNMATCHED: &str = "unmatched";

/// Classes of statuses; the last one is for clients that went before there was a status.
const OUTCOMES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];
const NO_STATUS: usize = OUTCOMES.len() - 1;

// === impl Requests ===

impl Requests {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            total: counters(
                registry,
                "mortise_http_requests_total",
                "Requests that were answered, by the class of the status.",
                &["method", "route", "status"],
            ),
            limited: counters(
                registry,
                "mortise_http_limited_total",
                "Requests that were answered with 429.",
                &["method", "route"],
            ),
            duration: histograms(
                registry,
                "mortise_http_request_duration_seconds",
                "How long it took until an answer began.",
                &["method", "route"],
            ),
            in_progress: gauge(
                registry,
                "mortise_http_requests_in_progress",
                "Requests whose answer has not begun.",
            ),
            streams: gauge(
                registry,
                "mortise_http_event_streams_open",
                "Event streams that are being sent.",
            ),
        }
    }
}

// === impl RequestMeters ===

impl RequestMeters {
    pub(super) fn new(requests: Option<&Requests>) -> Self {
        Self(requests.map(|requests| {
            let methods = METHODS.into_iter().chain([OTHER_METHOD]);
            let unmatched = methods.map(|it| RouteMeters::new(Some(requests), it, UNMATCHED));
            Numbers {
                in_progress: requests.in_progress.clone(),
                streams: requests.streams.clone(),
                unmatched: unmatched.collect(),
            }
        }))
    }

    /// A request has come; `None` where nothing is counted.
    pub(crate) fn begin(&self) -> Option<Begun<'_>> {
        let numbers = self.0.as_ref()?;
        numbers.in_progress.inc();
        Some(Begun(numbers))
    }

    /// An event stream begins; `None` where nothing is counted.
    pub(crate) fn open_stream(&self) -> Option<OpenStream> {
        let numbers = self.0.as_ref()?;
        numbers.streams.inc();
        Some(OpenStream(numbers.streams.clone()))
    }

    pub(crate) fn is_counting(&self) -> bool {
        self.0.is_some()
    }
}

// === impl Begun ===

impl Begun<'_> {
    /// The request is over: with this status, or without one where its client has gone.
    pub(crate) fn end(
        &self,
        route: Option<&RouteMeters>,
        method: &str,
        status: Option<u16>,
        took: Duration,
    ) {
        let place = METHODS.iter().position(|it| *it == method);
        let unmatched = || &self.0.unmatched[place.unwrap_or(METHODS.len())];
        route.unwrap_or_else(unmatched).count(status, took);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.in_progress.dec();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl RouteMeters ===

impl RouteMeters {
    pub(super) fn new(requests: Option<&Requests>, method: &str, template: &str) -> Self {
        let method = METHODS.into_iter().find(|it| *it == method);
        Self(requests.map(|requests| {
            Arc::new(Route {
                method: method.unwrap_or(OTHER_METHOD),
                template: template.to_owned(),
                requests: requests.clone(),
                total: Default::default(),
                limited: OnceLock::new(),
                duration: OnceLock::new(),
            })
        }))
    }

    fn count(&self, status: Option<u16>, took: Duration) {
        let Some(route) = &self.0 else { return };
        let labels = [route.method, route.template.as_str()];
        let class = status.map_or(NO_STATUS, |status| {
            usize::from(status / 100).clamp(2, 5) - 2
        });
        let total = route.total[class].get_or_init(|| {
            let [method, template] = labels;
            let labels = [method, template, OUTCOMES[class]];
            route.requests.total.with_label_values(&labels)
        });
        total.inc();
        if status == Some(429) {
            let limited = &route.requests.limited;
            let limited = route
                .limited
                .get_or_init(|| limited.with_label_values(&labels));
            limited.inc();
        }
        let durations = &route.requests.duration;
        let duration = route
            .duration
            .get_or_init(|| durations.with_label_values(&labels));
        duration.observe(took.as_secs_f64());
    }
}

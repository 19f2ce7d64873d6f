//! Under which route a request is counted.

use std::sync::Arc;

use axum::response::Response;
use http::Method;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::handlers::{self, DOCUMENT, Handler, PROBES};
use super::router::Seen;
use crate::metrics::{Begun, Metrics, OpenStream, RequestMeters, RouteMeters};

/// What is counted of the requests at one address.
pub(super) struct Meters {
    requests: RequestMeters,
    /// By handler.
    built_in: Vec<RouteMeters>,
    /// In the order of [`PROBES`].
    probes: [RouteMeters; PROBES.len()],
}

/// A request that is being answered; one that is dropped before has no status.
pub(super) struct Measured<'m> {
    begun: Begun<'m>,
    method: Method,
    started: Instant,
    seen: Arc<Seen>,
    status: Option<u16>,
}

const EVENTS: &[u8] = b"text/event-stream";

// === impl Meters ===

impl Meters {
    pub(super) fn new(metrics: &Metrics, base_path: &str) -> Self {
        let mut built_in = vec![RouteMeters::default(); Handler::COUNT];
        for (method, path, handler) in handlers::routes() {
            let template = format!("{base_path}{path}");
            built_in[handler as usize] = metrics.route(method.as_str(), &template);
        }
        built_in[Handler::ShowDocument as usize] = metrics.route("GET", DOCUMENT);
        Self {
            requests: metrics.requests(),
            built_in,
            probes: PROBES.map(|path| metrics.route("GET", path)),
        }
    }

    pub(super) fn built_in(&self, handler: Handler) -> &RouteMeters {
        &self.built_in[handler as usize]
    }

    pub(super) fn probe(&self, path: &str) -> &RouteMeters {
        let place = PROBES.iter().position(|it| *it == path);
        &self.probes[place.unwrap_or_default()]
    }

    /// A request has come; `None` where nothing is counted.
    pub(super) fn begin(
        &self,
        method: &Method,
        started: Instant,
        seen: &Arc<Seen>,
    ) -> Option<Measured<'_>> {
        Some(Measured {
            begun: self.requests.begin()?,
            method: method.clone(),
            started,
            seen: Arc::clone(seen),
            status: None,
        })
    }

    /// Holds as long as an event stream is open; `None` for any other response, and where nothing is
    /// counted.
    pub(super) fn open_stream(&self, response: &Response) -> Option<OpenStream> {
        if !self.requests.is_counting() {
            return None;
        }
        let kind = response.headers().get(CONTENT_TYPE)?.as_bytes();
        let is_events = kind.get(..EVENTS.len())?.eq_ignore_ascii_case(EVENTS);
        is_events.then(|| self.requests.open_stream()).flatten()
    }
}

// === impl Measured ===

impl Measured<'_> {
    pub(super) fn answered(mut self, response: &Response) {
        self.status = Some(response.status().as_u16());
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let method = self.method.as_str();
        self.begun.end(self.seen.route(), method, self.status, took);
    }
}

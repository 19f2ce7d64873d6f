//! What every request may need.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Uri};
use mortise_plugin_api::Principal;

use super::auth::{Door, Entry};
use super::body::BodyLimits;
use super::cors::Cors;
use super::error::Failure;
use super::layers;
use super::meters::Meters;
use super::openapi::{Document, DocumentError, Served};
use super::pages::{self, Names};
use super::plugin_routes::RouteTable;
use crate::config::{self, Auth, Secret};
use crate::jobs::Jobs;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::plugin::Proxies;
use crate::runtime::Runtime;
use crate::shutdown::Tasks;

/// What every request may need.
pub(crate) struct HttpState {
    pub(crate) runtime: Runtime,
    pub(crate) jobs: Jobs,
    pub(crate) pipeline: Arc<Pipeline>,
    /// The routes of plugins; swapped as a whole.
    pub(crate) mounts: ArcSwap<RouteTable>,
    pub(crate) tasks: Tasks,
    /// Makes the id of a request that brings none.
    pub(crate) request_ids: Arc<dyn Fn() -> Arc<str> + Send + Sync>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) proxies: Proxies,
    pub(super) door: Door,
    pub(super) base_path: Arc<str>,
    pub(super) body_limits: BodyLimits,
    pub(super) head_limits: HeadLimits,
    pub(super) sse_heartbeat: Duration,
    pub(super) endpoint_timeout: Option<Duration>,
    pub(super) serves: Serves,
    /// What is served; `None` where the built-in routes are not.
    pub(super) document: Option<Document>,
    /// Whether everybody may read it.
    pub(super) opens_document: bool,
    pub(super) meters: Meters,
    pub(super) cors: Option<Cors>,
    pub(super) names: Names,
    /// The value of `strict-transport-security`.
    pub(super) hsts: Option<HeaderValue>,
}

/// The part of the configuration that requests need.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The prefix of the built-in routes: empty, or with a leading and no trailing slash.
    pub(crate) base_path: String,
    pub(crate) auth: Auth,
    pub(crate) secret: Option<Secret>,
    /// Who holds the secret.
    pub(crate) holder: Principal,
    /// Who may say whose requests they hand on.
    pub(crate) proxies: Proxies,
    pub(crate) body_limits: BodyLimits,
    pub(crate) head_limits: HeadLimits,
    /// How often a silent event stream says that it is alive.
    pub(crate) sse_heartbeat: Duration,
    /// How long an endpoint of a plugin may take until its response begins.
    pub(crate) endpoint_timeout: Option<Duration>,
    pub(crate) serves: Serves,
    /// Whether everybody may read what is served.
    pub(crate) opens_document: bool,
    pub(crate) cors: config::Cors,
    /// Who it is to those who need not say who is asking.
    pub(crate) names: Names,
    /// How long browsers shall use TLS alone.
    pub(crate) hsts: Option<Duration>,
}

/// What is served at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    /// The built-in routes, and mounts of plugins.
    Everything,
    /// Mounts of plugins alone.
    Mounts,
    /// The metrics page. Who reads it is not counted.
    Metrics,
}

/// What the head of a request may take, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// All headers together.
    pub(crate) headers: usize,
    /// The path with its query.
    pub(crate) uri: usize,
}

// === impl HttpState ===

impl HttpState {
    /// # Errors
    /// What a plugin says of its endpoints cannot be shown.
    pub(crate) fn new(
        settings: Settings,
        jobs: Jobs,
        pipeline: Arc<Pipeline>,
        mounts: RouteTable,
        tasks: Tasks,
        ledger: Arc<Ledger>,
        request_ids: Arc<dyn Fn() -> Arc<str> + Send + Sync>,
    ) -> Result<Arc<Self>, DocumentError> {
        let Settings {
            base_path,
            auth,
            secret,
            holder,
            proxies,
            body_limits,
            head_limits,
            sse_heartbeat,
            serves,
            opens_document,
            cors,
            names,
            hsts,
            endpoint_timeout,
        } = settings;
        let metrics = if serves == Serves::Metrics {
            &Metrics::default()
        } else {
            jobs.runtime().metrics()
        };
        let meters = Meters::new(metrics, &base_path);
        let served = Served {
            base_path: &base_path,
            mounts: &mounts,
            auth,
            has_secret: secret.is_some(),
            pipeline: &pipeline,
            is_open: opens_document,
        };
        let document = match serves {
            Serves::Everything => Some(Document::of(&served)?),
            Serves::Mounts | Serves::Metrics => None,
        };
        Ok(Arc::new(Self {
            runtime: jobs.runtime().clone(),
            jobs,
            pipeline,
            mounts: ArcSwap::from_pointee(mounts),
            tasks,
            request_ids,
            ledger,
            proxies,
            door: Door::new(auth, secret.as_ref(), holder),
            base_path: base_path.into(),
            body_limits,
            head_limits,
            sse_heartbeat,
            endpoint_timeout,
            serves,
            document,
            opens_document,
            meters,
            cors: Cors::new(&cors),
            names,
            hsts: hsts.map(layers::strict_transport_security),
        }))
    }

    /// Whether the built-in routes are served.
    pub(super) fn is_native(&self) -> bool {
        self.serves == Serves::Everything
    }

    /// Lets a request go on to the guards, unless none of them could let it in.
    ///
    /// Where nobody has to say who is asking, [pages](pages) have to be some that may call the server.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<Entry, Failure> {
        let entry = self.door.check(headers, &self.pipeline)?;
        if !self.door.is_locked() && !self.pipeline.authenticate() {
            pages::check_name(&self.names, uri, headers)?;
            self.check_origin(uri, headers)?;
        }
        Ok(entry)
    }

    /// Lets a request go on that a mount has let in.
    ///
    /// A page can send one without credentials, and one with cookies; with any header of its own, the
    /// browser asks first.
    pub(super) fn check_own(
        &self,
        principal: &Principal,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Failure> {
        if *principal == Principal::anonymous() {
            pages::check_name(&self.names, uri, headers)?;
        }
        if headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        self.check_origin(uri, headers)
    }

    fn check_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
        pages::check_origin(self.cors.as_ref(), uri, headers)
    }
}

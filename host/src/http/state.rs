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
use super::head::HeadLimits;
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
    pub(super) settings: Settings,
    pub(super) door: Door,
    /// What is served; `None` where the built-in routes are not.
    pub(super) document: Option<Document>,
    pub(super) meters: Meters,
    pub(super) cors: Option<Cors>,
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

// === impl HttpState ===

impl HttpState {
    /// # Errors
    /// What a plugin says of its endpoints cannot be shown.
    pub(crate) fn new(
        mut settings: Settings,
        jobs: Jobs,
        pipeline: Arc<Pipeline>,
        mounts: RouteTable,
        tasks: Tasks,
        ledger: Arc<Ledger>,
        request_ids: Arc<dyn Fn() -> Arc<str> + Send + Sync>,
    ) -> Result<Arc<Self>, DocumentError> {
        let metrics = if settings.serves == Serves::Metrics {
            &Metrics::default()
        } else {
            jobs.runtime().metrics()
        };
        let served = Served {
            base_path: &settings.base_path,
            mounts: &mounts,
            auth: settings.auth,
            has_secret: settings.secret.is_some(),
            pipeline: &pipeline,
            is_open: settings.opens_document,
        };
        let document = match settings.serves {
            Serves::Everything => Some(Document::of(&served)?),
            Serves::Mounts | Serves::Metrics => None,
        };
        // The door has its digest.
        let secret = settings.secret.take();
        Ok(Arc::new(Self {
            runtime: jobs.runtime().clone(),
            meters: Meters::new(metrics, &settings.base_path),
            door: Door::new(settings.auth, secret.as_ref(), settings.holder.clone()),
            cors: Cors::new(&settings.cors),
            hsts: settings.hsts.map(layers::strict_transport_security),
            settings,
            jobs,
            pipeline,
            mounts: ArcSwap::from_pointee(mounts),
            tasks,
            request_ids,
            ledger,
            document,
        }))
    }

    /// Whether the built-in routes are served.
    pub(super) fn is_native(&self) -> bool {
        self.settings.serves == Serves::Everything
    }

    /// Whether everybody may read the document.
    pub(super) fn opens_document(&self) -> bool {
        self.document.as_ref().is_some_and(Document::is_open)
    }

    /// Lets a request go on to the guards, unless none of them could let it in.
    ///
    /// Where nobody has to say who is asking, [pages](pages) have to be some that may call the server.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<Entry, Failure> {
        let entry = self.door.check(headers, &self.pipeline)?;
        if !self.door.is_locked() && !self.pipeline.has_authentication() {
            pages::check_name(&self.settings.names, uri, headers)?;
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
            pages::check_name(&self.settings.names, uri, headers)?;
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

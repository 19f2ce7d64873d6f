//! The server as a crate: what a program that embeds it builds, starts, asks and stops.
//!
//! `builder.rs` is the composition root, `entrances.rs` says what is served at which address,
//! `server.rs` listens, `in_process.rs` is what code of the same program asks for, `options.rs` and
//! `watch.rs` are what goes in and what comes out.

mod builder;
mod entrances;
mod error;
mod in_process;
mod options;
mod server;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::Principal;
use tokio::sync::OnceCell;

pub use self::builder::{AppBuilder, BuiltApp};
pub(crate) use self::error::StartCause;
pub use self::error::StartError;
pub use self::options::{Conversation, Decision, RunInput, RunOptions};
pub use self::server::Server;
pub use self::watch::{PendingResult, RunEvents, RunStream};
use crate::config::Config;
use crate::http::{HttpBody, HttpRouter, HttpService, HttpState};
use crate::ids::Ids;
use crate::jobs::Jobs;
use crate::plugin::{self, Instance};
use crate::runtime::Runtime;
use crate::shutdown::Tasks;
use crate::store::Store;

/// An app whose plugins have started: it runs agents until it is stopped. Cheap to clone; clones
/// are the same app.
///
/// ```no_run
/// use mortise_host::App;
/// use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
///
/// # async fn embed() -> Result<(), mortise_host::Error> {
/// let source = ConfigSource::File("config.toml".into());
/// let config = Config::load(source, &ProcessEnvironment)?;
/// let app = App::builder(config).build().await?.start().await?;
///
/// let result = app.run("assistant", "What is the weather in Tokyo?").await?;
/// println!("{}", result.response.text_content());
///
/// app.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// # A life
///
/// 1. [`App::builder`] takes the configuration and the plugins that are linked in.
/// 2. [`AppBuilder::build`] loads and checks everything. Nothing has an effect yet.
/// 3. [`BuiltApp::start`] starts the plugins; [`BuiltApp::listen`] also takes the port of the
///    configuration.
/// 4. The app is used: in process through its methods, over HTTP through [`handle`](Self::handle),
///    [`service`](Self::service), [`router`](Self::router) or a [`Server`]. All of them are one
///    app: a run that was started by one way is answered, aborted or resumed by any other.
/// 5. [`stop`](Self::stop) ends it in order. An app that is dropped instead leaves its plugins
///    without their `shutdown`.
///
/// # Who asks
///
/// Code of the same program is as trusted as the server. Its app reaches every agent, those with
/// `exposed = false` too, and every run by its id, whoever owns it. What it starts, and the
/// conversations that it names, belong to the principal that the server's own secret gives:
/// `server.principal` where `server.secret` is set, else the anonymous one, so that they are the
/// same as those of requests that carry the secret and nothing else.
///
/// [`as_principal`](Self::as_principal) is the same app for somebody: it reaches what this
/// principal would reach over HTTP, and what it starts is theirs.
///
/// Guards are not asked: they stand at the door for requests, and this code is inside. All other
/// hooks of a run are.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
    /// As far as this handle reaches.
    runtime: Runtime,
    /// Whose runs and conversations these are.
    principal: Arc<Principal>,
}

/// What all handles share.
struct Inner {
    config: Config,
    http: Arc<HttpState>,
    ids: Ids,
    store: Arc<dyn Store>,
    jobs: Jobs,
    instances: Vec<Arc<Instance>>,
    tasks: Tasks,
    /// They end after everybody that they watch.
    observer_tasks: Tasks,
    stopped: OnceCell<()>,
}

/// How long before the end of the grace period what still runs is aborted, so that its clients
/// see an end.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// How long observers may take for what is still in their queues.
const OBSERVERS_GRACE: Duration = Duration::from_millis(500);

// === impl App ===

impl App {
    /// An app with this configuration.
    pub fn builder(config: Config) -> AppBuilder {
        AppBuilder::new(config)
    }

    /// The same app for this principal: it reaches exposed agents and what the principal owns,
    /// and what it starts is theirs.
    #[must_use]
    pub fn as_principal(&self, principal: Principal) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            runtime: self.runtime.restricted(),
            principal: Arc::new(principal),
        }
    }

    // === HTTP ===

    /// Answers a request as the server would, guards and all, without a connection.
    ///
    /// `server.base_path` is part of the path; every built-in route also answers without it. The
    /// address of the peer is read from the request's extensions, where a `SocketAddr` or axum's
    /// `ConnectInfo<SocketAddr>` may stand; without one it is `0.0.0.0:0`, which no allow-list
    /// names. A request without a `Host` header gets that of its URI, or `localhost`.
    ///
    /// Dropping the body of an event stream is what a hang-up is over a connection.
    pub async fn handle<B>(&self, request: http::Request<B>) -> http::Response<HttpBody>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.service().answer(request).await
    }

    /// The same as a `tower::Service`, for any framework and any middleware.
    pub fn service(&self) -> HttpService {
        HttpService::new(Arc::clone(&self.inner.http))
    }

    /// The same as a router of axum, to be merged into or nested in another one. Its routes are
    /// its fallback, so that every path that the other router does not know comes here.
    pub fn router(&self) -> HttpRouter {
        self.service().into_router()
    }

    // === the end ===

    /// Ends the app in order, and returns when that is done; a second call waits for the first.
    ///
    /// From here on no run is started in process, and a [`Server`] accepts no connection. What is
    /// at work has `server.shutdown_grace`, and 1.5 s before its end runs are aborted, so that
    /// whoever watches sees an end. Then observers get what they were not told yet, and plugins
    /// are shut down, the last one first.
    pub async fn stop(&self) {
        let inner = &self.inner;
        inner.stopped.get_or_init(|| self.end()).await;
    }

    async fn end(&self) {
        let inner = &self.inner;
        self.runtime.park_all();
        let grace = inner.config.server.shutdown_grace.0;
        let last_words = async {
            tokio::time::sleep(grace.saturating_sub(LAST_WORDS)).await;
            self.runtime.abort_all();
            std::future::pending::<()>().await;
        };
        let dropped = tokio::select! {
            dropped = inner.tasks.close_and_wait(grace) => dropped,
            () = last_words => 0,
        };
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "the grace period is over; what was still at work was dropped"
            );
        }
        inner.discard().await;
        tracing::info!("stopped");
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    /// Ends what is at work at once, then whoever watches, then the plugins, then the store.
    async fn discard(&self) {
        self.tasks.close_and_wait(Duration::ZERO).await;
        self.observer_tasks.close_and_wait(OBSERVERS_GRACE).await;
        plugin::shutdown_all(&self.instances).await;
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the store was not closed in order");
        }
    }
}

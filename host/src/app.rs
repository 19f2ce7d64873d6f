//! The composition root: from a configuration to a server, in the order in which things need each
//! other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::Plugin;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config::{Config, ConfigError, Mode, StoreUrl};
use crate::http::{self, BindError, HttpState, Limits, RouteConflict, RouteTable, Settings};
use crate::ids::Ids;
use crate::ledger::Ledger;
use crate::pipeline::Pipeline;
use crate::plugin::{
    self, HostApiSlot, Instance, LinkedPlugin, LoadError, LoadErrors, Loaded, Proxies,
};
use crate::runtime::{ActiveRuns, Agents, Engine, Runtime};
use crate::shutdown::Tasks;
use crate::store::{Keeps, MemoryLimits, MemoryStore, NoStore, Store};

/// A server that is built and does not listen yet.
///
/// ```no_run
/// use mortise_host::App;
/// use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let source = ConfigSource::File("config.toml".into());
/// let config = Config::load(source, &ProcessEnvironment)?;
/// App::builder(config).build().await?.listen().await?.serve().await;
/// # Ok(())
/// # }
/// ```
pub struct App {
    config: Config,
    state: Arc<HttpState>,
    runtime: Runtime,
    instances: Vec<Arc<Instance>>,
    tasks: Tasks,
    /// They end after everybody that they watch.
    observer_tasks: Tasks,
}

/// What a server is built from.
#[derive(Debug)]
pub struct AppBuilder {
    config: Config,
    linked: Vec<LinkedPlugin>,
    files: Vec<PathBuf>,
}

/// A server that listens, and serves when it is told to.
#[derive(Debug)]
pub struct Server {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    signals: Signals,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] StartCause);

/// What kept the server from starting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartCause {
    #[error("the log filter is invalid: {0}")]
    Log(#[source] tracing_subscriber::filter::ParseError),
    #[error("no threads can be started: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(
        "--plugin is for development, and this server is in production: copy the library into \
         plugins.dir and name it in [[plugins.load]]"
    )]
    FilesInProduction,
    #[error("the plugins cannot be loaded")]
    Plugins(LoadErrors),
    #[error("the configuration names what does not exist")]
    Agents(Vec<ConfigError>),
    #[error(transparent)]
    Routes(RouteConflict),
    #[error(transparent)]
    Bind(BindError),
    #[error("a plugin did not start: {0}")]
    Start(#[source] LoadError),
    #[error("the system does not let the server listen: {0}")]
    System(#[source] std::io::Error),
}

/// How many keys all plugins together may keep in memory.
const STATE_KEYS: usize = 100_000;
/// How long before the end of the grace period what still runs is aborted, so that its clients
/// see an end.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// How long observers may take for what is still in their queues.
const OBSERVERS_GRACE: Duration = Duration::from_millis(500);

// === impl App ===

impl App {
    /// A server with this configuration.
    pub fn builder(config: Config) -> AppBuilder {
        AppBuilder {
            config,
            linked: Vec::new(),
            files: Vec::new(),
        }
    }

    async fn build(builder: AppBuilder) -> Result<Self, StartError> {
        let AppBuilder {
            config,
            linked,
            files,
        } = builder;
        if !files.is_empty() && config.mode() == Mode::Production {
            return Err(StartCause::FilesInProduction.into());
        }
        let clock = Clock::SYSTEM;
        let ids = Ids::new(clock);
        let (tasks, observer_tasks) = (Tasks::new(), Tasks::new());
        let host_api = HostApiSlot::new();
        let loaded = plugin::load(&config, linked, &files, &host_api, clock).await;
        let Loaded { catalog, instances } = loaded.map_err(StartCause::Plugins)?;
        let agents = Agents::build(&config, &catalog).map_err(|errors| {
            StartCause::Agents(
                errors
                    .into_iter()
                    .map(|error| config.error_at(&error.pointer, error.message, error.help))
                    .collect(),
            )
        })?;
        let hook_timeout = config.runs.hook_timeout.0;
        let pipeline = Arc::new(Pipeline::new(catalog.hooks, hook_timeout, &observer_tasks));
        let base_path = config.server.base_path.as_str().to_owned();
        let mounts = RouteTable::build(catalog.mounts, &base_path).map_err(StartCause::Routes)?;
        let ledger = Ledger::new(clock);
        let runtime = Runtime::new(Engine {
            agents,
            pipeline: Arc::clone(&pipeline),
            store: store(&config, clock),
            limits: config.runs.clone(),
            clock,
            ids: ids.clone(),
            tasks: tasks.clone(),
            active: ActiveRuns::default(),
            ledger: Arc::clone(&ledger),
        });
        host_api.attach(Arc::new(runtime.clone()));
        let settings = Settings {
            base_path,
            secret: config.server.secret.clone(),
            proxies: Proxies::new(&config.server),
            body_limit: usize::try_from(config.server.body_limit.0).unwrap_or(usize::MAX),
            sse_heartbeat: config.runs.sse_heartbeat.0,
        };
        let state = HttpState::new(
            settings,
            Arc::new(runtime.clone()),
            pipeline,
            mounts,
            tasks.clone(),
            ledger,
            Arc::new(move || ids.request().into()),
        );
        Ok(Self {
            config,
            state,
            runtime,
            instances,
            tasks,
            observer_tasks,
        })
    }

    /// Listens, and starts the plugins: from here on, things have effects.
    ///
    /// # Errors
    /// A port that is in use, a plugin that does not start.
    pub async fn listen(self) -> Result<Server, StartError> {
        let section = &self.config.server;
        let listener = http::bind(&section.host, section.port, &section.ports)
            .await
            .map_err(StartCause::Bind)?;
        let address = listener.local_addr().map_err(StartCause::System)?;
        // Before anything has an effect: a signal must end the server in order from here on.
        let signals = Signals::listen().map_err(StartCause::System)?;
        if let Err(error) = plugin::start_all(&self.instances).await {
            self.discard().await;
            return Err(StartCause::Start(error).into());
        }
        Ok(Server {
            app: self,
            listener,
            address,
            signals,
        })
    }

    /// Lets everything go without having served: what `mortise check` does.
    pub async fn discard(self) {
        plugin::shutdown_all(&self.instances).await;
        self.tasks.close_and_wait(Duration::ZERO).await;
        self.observer_tasks.close_and_wait(OBSERVERS_GRACE).await;
    }

    async fn stop(self) {
        let grace = self.config.server.shutdown_grace.0;
        let last_words = async {
            tokio::time::sleep(grace.saturating_sub(LAST_WORDS)).await;
            self.runtime.abort_all();
            std::future::pending::<()>().await;
        };
        let dropped = tokio::select! {
            dropped = self.tasks.close_and_wait(grace) => dropped,
            () = last_words => 0,
        };
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "the grace period is over; what was still at work was dropped"
            );
        }
        self.observer_tasks.close_and_wait(OBSERVERS_GRACE).await;
        plugin::shutdown_all(&self.instances).await;
        tracing::info!("stopped");
    }
}

// === impl Server ===

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process is told to stop; a second time, and it stops at once.
    pub async fn serve(self) {
        let Self {
            app,
            listener,
            address,
            mut signals,
        } = self;
        tracing::info!(
            %address,
            agents = app.runtime.agents().len(),
            plugins = app.instances.len(),
            "listening"
        );
        let section = &app.config.server;
        let limits = Limits {
            header_timeout: section.header_timeout.0,
            max_connections: section.max_connections,
        };
        app.tasks
            .spawn(http::serve(listener, Arc::clone(&app.state), limits));
        signals.heard().await;
        tracing::info!("stopping");
        tokio::select! {
            () = app.stop() => {}
            () = signals.heard() => tracing::warn!("a second signal: stopping at once"),
        }
    }
}

// === impl AppBuilder ===

impl AppBuilder {
    /// Also loads a plugin that is linked into this program, under this instance name.
    #[must_use]
    pub fn plugin<P: Plugin>(mut self, name: impl Into<String>, config: Value) -> Self {
        self.linked.push(LinkedPlugin::of::<P>(name, config));
        self
    }

    /// Also loads this library, wherever it is, under its own name and with its default
    /// configuration; in development mode only.
    #[must_use]
    pub fn library(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(file.into());
        self
    }

    /// Builds everything that the configuration asks for. Nothing listens or starts yet.
    ///
    /// # Errors
    /// Whatever the configuration or a plugin is to blame for.
    pub async fn build(self) -> Result<App, StartError> {
        App::build(self).await
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn store(config: &Config, clock: Clock) -> Arc<dyn Store> {
    let section = &config.store;
    let limits = MemoryLimits {
        keeps: Keeps {
            streams: section.streams,
            conversations: section.conversations,
            runtime_state: section.runtime_state,
        },
        finished_runs: section.keep_finished_runs,
        finished_for: section.keep_finished_for.0,
        conversations: section.max_conversations,
        state_keys: STATE_KEYS,
    };
    let memory = MemoryStore::new(limits, clock);
    match section.url {
        StoreUrl::Memory => Arc::new(memory),
        StoreUrl::None => Arc::new(NoStore::new(memory)),
    }
}

// === impl StartError ===

impl StartError {
    /// Whether the configuration is to blame.
    pub(crate) fn is_configuration(&self) -> bool {
        match &self.0 {
            StartCause::Log(_) | StartCause::Agents(_) => true,
            StartCause::Plugins(errors) => errors.iter().all(LoadError::is_settings),
            _ => false,
        }
    }

    /// Every mistake, for the terminal.
    pub(crate) fn into_reports(self) -> Vec<miette::Report> {
        match self.0 {
            StartCause::Plugins(errors) => errors.into_iter().map(miette::Report::new).collect(),
            StartCause::Start(error) => vec![miette::Report::new(error)],
            StartCause::Agents(errors) => errors.into_iter().map(miette::Report::new).collect(),
            StartCause::Bind(error) => {
                let help = "stop the other program, or set server.port or server.ports";
                vec![miette::miette!(help = help, "{error}")]
            }
            other => vec![miette::miette!("{other}")],
        }
    }
}

/// The signals that end the server.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, std::io::Error> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

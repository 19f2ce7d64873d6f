//! The composition root: from a configuration to a server, in the order in which things need each
//! other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config::{Config, ConfigError, StoreUrl};
use crate::http::{self, BindError, HttpState, Limits, RouteConflict, RouteTable, Settings};
use crate::ids::Ids;
use crate::pipeline::Pipeline;
use crate::plugin::{self, HostApiSlot, Instance, LoadError, LoadErrors, Loaded};
use crate::runtime::{ActiveRuns, Agents, Engine, Runtime};
use crate::shutdown::Tasks;
use crate::store::{Keeps, MemoryLimits, MemoryStore, NoStore, Store};

/// A server that is built and does not listen yet.
pub(crate) struct App {
    config: Config,
    state: Arc<HttpState>,
    runtime: Runtime,
    instances: Vec<Arc<Instance>>,
    tasks: Tasks,
    /// They end after everybody that they watch.
    observer_tasks: Tasks,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the log filter is invalid: {0}")]
    Log(#[source] tracing_subscriber::filter::ParseError),
    #[error("no threads can be started: {0}")]
    Runtime(#[source] std::io::Error),
    #[error("the plugins cannot be loaded")]
    Plugins(LoadErrors),
    #[error("the configuration names what does not exist")]
    Agents(Vec<ConfigError>),
    #[error(transparent)]
    Routes(#[from] RouteConflict),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("a plugin did not start: {0}")]
    Start(#[source] LoadError),
    #[error("the signals of the system cannot be heard: {0}")]
    Signals(#[source] std::io::Error),
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
    /// Builds everything that the configuration asks for. Nothing listens or starts yet.
    pub(crate) async fn build(config: Config, files: &[PathBuf]) -> Result<Self, StartError> {
        let clock = Clock::system();
        let ids = Ids::new(clock.clone());
        let (tasks, observer_tasks) = (Tasks::new(), Tasks::new());
        let host_api = HostApiSlot::new();
        let loaded = plugin::load(&config, Vec::new(), files, &host_api, clock.clone()).await;
        let Loaded { catalog, instances } = loaded.map_err(StartError::Plugins)?;
        let agents = Agents::build(&config, &catalog).map_err(|errors| {
            StartError::Agents(
                errors
                    .into_iter()
                    .map(|error| config.error_at(&error.pointer, error.message, error.help))
                    .collect(),
            )
        })?;
        let hook_timeout = config.runs.hook_timeout.0;
        let pipeline = Arc::new(Pipeline::new(catalog.hooks, hook_timeout, &observer_tasks));
        let base_path = config.server.base_path.as_str().to_owned();
        let mounts = RouteTable::build(catalog.mounts, &base_path)?;
        let runtime = Runtime::new(Engine {
            agents,
            pipeline: Arc::clone(&pipeline),
            store: store(&config, &clock),
            limits: config.runs.clone(),
            clock,
            ids: ids.clone(),
            tasks: tasks.clone(),
            active: ActiveRuns::default(),
        });
        host_api.attach(Arc::new(runtime.clone()));
        let settings = Settings {
            base_path,
            secret: config.server.secret.clone(),
            body_limit: usize::try_from(config.server.body_limit.0).unwrap_or(usize::MAX),
            sse_heartbeat: config.runs.sse_heartbeat.0,
            hook_timeout,
        };
        let state = HttpState::new(
            settings,
            Arc::new(runtime.clone()),
            pipeline,
            mounts,
            tasks.clone(),
            Arc::new(move || ids.request().into()),
        );
        Ok(Self { config, state, runtime, instances, tasks, observer_tasks })
    }

    /// Serves until the process is told to stop.
    pub(crate) async fn serve(self) -> Result<(), StartError> {
        let server = &self.config.server;
        let listener = http::bind(&server.host, server.port, &server.ports).await?;
        // Before anything has an effect: a signal must end the server in order from here on.
        let mut signals = Signals::listen().map_err(StartError::Signals)?;
        plugin::start_all(&self.instances).await.map_err(StartError::Start)?;
        let address = listener.local_addr().ok();
        self.announce(address);
        let limits = Limits {
            header_timeout: server.header_timeout.0,
            max_connections: server.max_connections,
        };
        let state = Arc::clone(&self.state);
        self.tasks.spawn(http::serve(listener, state, limits));
        signals.heard().await;
        tracing::info!("stopping");
        tokio::select! {
            () = self.stop() => {}
            () = signals.heard() => tracing::warn!("a second signal: stopping at once"),
        }
        Ok(())
    }

    /// Lets everything go that `build` made.
    pub(crate) async fn discard(self) {
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
            tracing::warn!(dropped, "the grace period is over; what was still at work was dropped");
        }
        self.observer_tasks.close_and_wait(OBSERVERS_GRACE).await;
        plugin::shutdown_all(&self.instances).await;
        tracing::info!("stopped");
    }

    fn announce(&self, address: Option<SocketAddr>) {
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        tracing::info!(
            address,
            agents = self.runtime.agents().len(),
            plugins = self.instances.len(),
            "listening"
        );
        crate::cli::say(&format!("listening on http://{address}"));
    }
}

fn store(config: &Config, clock: &Clock) -> Arc<dyn Store> {
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
    let memory = MemoryStore::new(limits, clock.clone());
    match section.url {
        StoreUrl::Memory => Arc::new(memory),
        StoreUrl::None => Arc::new(NoStore::new(memory)),
    }
}

// === impl StartError ===

impl StartError {
    /// Whether the configuration is to blame.
    pub(crate) fn is_configuration(&self) -> bool {
        match self {
            Self::Log(_) | Self::Agents(_) => true,
            Self::Plugins(errors) => errors.iter().all(LoadError::is_settings),
            _ => false,
        }
    }

    /// Every mistake, for the terminal.
    pub(crate) fn into_reports(self) -> Vec<miette::Report> {
        match self {
            Self::Plugins(errors) => errors.into_iter().map(miette::Report::new).collect(),
            Self::Start(error) => vec![miette::Report::new(error)],
            Self::Agents(errors) => errors.into_iter().map(miette::Report::new).collect(),
            Self::Bind(error) => {
                let help = "stop the other program, or set server.port or server.ports";
                vec![miette::miette!(help = help, "{error}")]
            }
            other => vec![miette::miette!("{other}")],
        }
    }
}

/// The signals that end the server.
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

//! The composition root: from a configuration to an app, in the order in which things need each
//! other.

use std::path::PathBuf;
use std::sync::Arc;

use mortise_plugin_api::{Plugin, Principal};
use serde_json::Value;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use super::entrances::{self, Planned, Served};
use super::error::{StartCause, StartError};
use super::server::{Server, Signals};
use super::{App, Inner};
use crate::clock::Clock;
use crate::config::{Auth, Config, ConfigError, Cors, Mode};
use crate::http::{BodyLimits, HeadLimits, HttpState, Names, Serves, Settings, is_reserved};
use crate::ids::Ids;
use crate::jobs::{self, Jobs};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::plugin::capability::Catalog;
use crate::plugin::{self, HostApiSlot, HostParts, LinkedPlugin, Loaded, Proxies};
use crate::runtime::{ActiveRuns, Engine, Prices, Quotas, Roster, Runtime};
use crate::shutdown::Tasks;
use crate::store;

/// What an app is built from.
#[derive(Debug)]
pub struct AppBuilder {
    config: Config,
    linked: Vec<LinkedPlugin>,
    files: Vec<PathBuf>,
}

/// An app that is complete and has had no effect yet: no plugin has started, nothing listens.
#[derive(Debug)]
#[must_use = "an app does nothing until it is started"]
pub struct BuiltApp {
    app: App,
    /// That of `server.host` first.
    entrances: Vec<Planned>,
    /// That of the metrics page.
    admin: Option<Planned>,
}

// === impl AppBuilder ===

impl AppBuilder {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            linked: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Also loads a plugin that is linked into this program, under this instance name and with
    /// this `config` table.
    ///
    /// It takes the way of a library from its `create` on, and behaves the same. Linked plugins
    /// stand before those of the configuration, in the order of these calls, which is that of
    /// their hooks; they have the grants that they ask for, and are required.
    ///
    /// `export_plugin!` emits what makes a library loadable under the feature `dylib` of the
    /// plugin's crate. A program that links several such crates depends on them with
    /// `default-features = false`, as they would all define the same symbol.
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

    /// Builds everything that the configuration asks for. Plugins are loaded and created, and
    /// none of them is started.
    ///
    /// # Errors
    /// Whatever the configuration or a plugin is to blame for.
    pub async fn build(self) -> Result<BuiltApp, StartError> {
        let Self {
            config,
            linked,
            files,
        } = self;
        if !files.is_empty() && config.mode() == Mode::Production {
            return Err(StartCause::FilesInProduction.into());
        }
        let clock = Clock::SYSTEM;
        let ids = Ids::new(clock);
        let (tasks, observer_tasks) = (Tasks::new(), Tasks::new());
        let host_api = HostApiSlot::new();
        let metrics = Metrics::of(config.admin.listen.is_some(), clock);
        let host = HostParts {
            api: Arc::clone(&host_api),
            clock,
            metrics: metrics.clone(),
            is_reserved,
        };
        let loaded = plugin::load(&config, linked, &files, &host).await;
        let Loaded {
            mut catalog,
            instances,
        } = loaded.map_err(StartCause::Plugins)?;
        let hooks = std::mem::take(&mut catalog.hooks);
        let mounts = std::mem::take(&mut catalog.mounts);
        let agents = agents(&config, catalog)?;
        let agent_meters = metrics.agents(agents.now().names());
        let hook_timeout = config.runs.hook_timeout.0;
        let pipeline = Arc::new(Pipeline::new(hooks, hook_timeout, &observer_tasks));
        check_door(&config, &pipeline)?;
        let ledger = Ledger::new(clock);
        let store = store::of(&config.store, clock);
        let runtime = Runtime::new(Engine {
            agents,
            pipeline: Arc::clone(&pipeline),
            store: Arc::clone(&store),
            metrics: metrics.clone(),
            agent_meters,
            limits: config.runs.clone(),
            clock,
            ids: ids.clone(),
            tasks: tasks.clone(),
            active: ActiveRuns::default(),
            ledger: Arc::clone(&ledger),
            prices: Prices::new(config.prices.clone()),
            quotas: Quotas::of(&config.quota),
            parking: CancellationToken::new(),
            job_news: watch::Sender::new(()),
        });
        let jobs = Jobs::new(jobs::Needs {
            runtime: runtime.clone(),
            store: Arc::clone(&store),
            pipeline: Arc::clone(&pipeline),
            section: config.jobs.clone(),
            clock,
            ids: ids.clone(),
            tasks: tasks.clone(),
        });
        host_api.attach(Arc::new(jobs.clone()));
        let request_ids = request_ids(ids.clone());
        let state = |served: Served, pipeline: &Arc<Pipeline>| {
            HttpState::new(
                settings(&config, &served),
                jobs.clone(),
                Arc::clone(pipeline),
                served.mounts,
                tasks.clone(),
                Arc::clone(&ledger),
                Arc::clone(&request_ids),
            )
        };
        let plan = |served| state(served, &pipeline);
        let entrances = entrances::plan(&config, &mounts, &metrics, plan)?;
        // What the operator asks there is no business of plugins.
        let no_hooks = Arc::new(Pipeline::new(Vec::new(), hook_timeout, &observer_tasks));
        let admin = entrances::plan_admin(&config, |served| state(served, &no_hooks))?;
        // In process, what `server.host` serves is asked.
        let http = Arc::clone(&entrances[0].state);
        let principal = Arc::new(own_principal(&config));
        let inner = Inner {
            config,
            http,
            ids,
            store,
            jobs,
            instances,
            tasks,
            observer_tasks,
            stopped: OnceCell::new(),
        };
        Ok(BuiltApp {
            app: App {
                inner: Arc::new(inner),
                runtime: runtime.unrestricted(),
                principal,
            },
            entrances,
            admin,
        })
    }
}

fn request_ids(ids: Ids) -> Arc<dyn Fn() -> Arc<str> + Send + Sync> {
    Arc::new(move || ids.request().into())
}

/// Whose the runs are that code of this program starts.
fn own_principal(config: &Config) -> Principal {
    match config.server.secret {
        Some(_) => config.server.principal.clone().into(),
        None => Principal::anonymous(),
    }
}

fn agents(config: &Config, catalog: Catalog) -> Result<Roster, StartCause> {
    Roster::build(config, catalog).map_err(|errors| {
        let errors = errors
            .into_iter()
            .map(|error| config.error_at(&error.pointer, error.message, error.help));
        StartCause::Agents(errors.collect())
    })
}

// === impl BuiltApp ===

impl BuiltApp {
    /// Opens the store and starts the plugins: from here on, things have effects.
    ///
    /// # Errors
    /// A store that cannot be used, or a plugin that does not start; those before it have been
    /// shut down again.
    pub async fn start(self) -> Result<App, StartError> {
        match self.begin().await {
            Ok(()) => Ok(self.app),
            Err(cause) => {
                self.discard().await;
                Err(cause.into())
            }
        }
    }

    /// Opens the store, starts the plugins, and takes up the runs and the jobs that the last server
    /// left.
    async fn begin(&self) -> Result<(), StartCause> {
        let (inner, runtime) = (&self.app.inner, &self.app.runtime);
        inner.store.open().await.map_err(StartCause::Store)?;
        // Plugins may begin runs of their own as soon as they start.
        let left = inner.store.unfinished_runs().await;
        let left = left.map_err(StartCause::Recovery)?;
        let started = plugin::start_all(&inner.instances).await;
        started.map_err(StartCause::Start)?;
        runtime.warn_of_missing_tools();
        let going_on = runtime.recover(left).await;
        let going_on = going_on.map_err(StartCause::Recovery)?;
        let begun = inner.jobs.start(going_on, &inner.observer_tasks).await;
        begun.map_err(StartCause::Recovery)
    }

    /// Takes the addresses of the configuration, then starts the plugins. From here on the process
    /// does not end by a signal alone: [`Server::serve`] hears it and ends in order.
    ///
    /// # Errors
    /// A port that is in use, a plugin that does not start.
    pub async fn listen(self) -> Result<Server, StartError> {
        let section = &self.app.inner.config.server;
        let mut entrances = Vec::new();
        for planned in &self.entrances {
            entrances.push(planned.bind(section).await?);
        }
        let admin = match &self.admin {
            Some(planned) => Some(planned.bind(section).await?),
            None => None,
        };
        // Before anything has an effect: a signal must end the server in order from here on.
        let signals = Signals::listen().map_err(StartCause::System)?;
        let app = self.start().await?;
        Ok(Server {
            app,
            entrances,
            admin,
            signals,
        })
    }

    /// Says what the store would not open for, and lets everything go without having started: what
    /// `mortise check` does. A database that a server is using is fine.
    ///
    /// # Errors
    /// A store that cannot be used.
    pub async fn check(self) -> Result<(), StartError> {
        let checked = self.app.inner.store.check().await;
        self.discard().await;
        Ok(checked.map_err(StartCause::Store)?)
    }

    /// Lets everything go without having started.
    pub async fn discard(self) {
        self.app.inner.discard().await;
    }
}

/// The part of the configuration that requests at one address need.
fn settings(config: &Config, served: &Served) -> Settings {
    let section = &config.server;
    Settings {
        base_path: section.base_path.as_str().to_owned(),
        auth: section.auth,
        secret: section.secret.clone(),
        holder: section.principal.clone().into(),
        proxies: Proxies::new(section),
        body_limits: BodyLimits {
            size: section.body_limit.in_memory(),
            timeout: section.body_timeout.0,
        },
        head_limits: HeadLimits {
            headers: section.header_limit.in_memory(),
            uri: section.uri_limit.in_memory(),
        },
        sse_heartbeat: config.runs.sse_heartbeat.0,
        endpoint_timeout: config.plugins.endpoint_timeout.limit(),
        serves: served.what,
        // In production, whoever may call a route may also know of it.
        opens_document: config.mode() == Mode::Development,
        cors: if served.what == Serves::Metrics {
            Cors::default()
        } else {
            section.cors.clone()
        },
        names: Names::of(section),
        hsts: served.hsts,
    }
}

/// With `auth = "any"`, whether anybody has to say who is asking is known once the guards are.
fn check_door(config: &Config, guards: &Pipeline) -> Result<(), StartCause> {
    let section = &config.server;
    if section.auth == Auth::All && section.secret.is_some() {
        for plugin in guards.beside_the_secret() {
            tracing::warn!(
                plugin,
                "nobody can come in: server.auth is \"all\", and a request has one `authorization` \
                 for server.secret and this plugin; give the plugin another header, or set \
                 server.auth = \"any\""
            );
        }
    }
    if section.auth == Auth::All || section.secret.is_some() || guards.has_authentication() {
        return Ok(());
    }
    let open = section.reachable().map(|(pointer, address)| {
        let message = format!(
            "other machines reach {address}, and there is neither a `server.secret` nor a plugin \
             that authenticates"
        );
        let help = "set server.secret, load a plugin such as auth, listen on \"127.0.0.1\", or \
                    accept it with server.insecure = true";
        config.error_at(&pointer, message, Some(help.to_owned()))
    });
    let open: Vec<ConfigError> = open.collect();
    if open.is_empty() || section.insecure {
        tracing::warn!(
            "server.auth is \"any\", but there is no server.secret and no plugin authenticates: \
             everybody may come in"
        );
        return Ok(());
    }
    Err(StartCause::Open(open))
}

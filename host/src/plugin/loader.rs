//! From the configuration to instances: one entry after the other, each with a time limit.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mortise_plugin_abi::{AbiBytes, CreateRequest};
use mortise_plugin_api::ffi::{convert, guard};
use mortise_plugin_api::{Error, OnError};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::adapter::{
    AgentAdapter, HookAdapter, ModelAdapter, MountAdapter, ToolAdapter, ToolsetAdapter, adapters,
    info,
};
use super::bridge::{HostApiSlot, HostBridge, host_object};
use super::capability::Catalog;
use super::catalog::{CatalogBuilder, IsReserved, Offer};
use super::error::{LOADING, LibraryError, LoadError, LoadErrors, in_one_line};
use super::image::LibraryFile;
use super::instance::{Instance, InstanceParts};
use super::linked::{Code, LinkedPlugin};
use super::names::{AllSettings, Settings};
use super::settings;
use super::telemetry::telemetry;
use crate::clock::Clock;
use crate::config::{Config, InstanceName, LibraryDigest, Mode, PluginEntry};
use crate::metrics::Metrics;

/// What was loaded; nothing of it has started.
pub(crate) struct Loaded {
    pub(crate) catalog: Catalog,
    /// In the order of the configuration.
    pub(crate) instances: Vec<Arc<Instance>>,
}

/// What instances get of the server.
pub(crate) struct HostParts {
    pub(crate) api: Arc<HostApiSlot>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    /// Which routes the server keeps for itself.
    pub(crate) is_reserved: IsReserved,
}

/// How long a library may take to be opened, and an instance to be created.
const LIMIT: Duration = Duration::from_secs(10);
/// The layout checker recurses through every type; debug builds need more than the usual stack.
const STACK: usize = 8 << 20;

/// Loads the plugins of this program, those of the configuration, the rest of the folder where
/// the configuration says so, and the files that were named on the command line.
///
/// # Errors
/// Everything that is wrong with the required ones; what may be missing is logged and skipped.
pub(crate) async fn load(
    config: &Config,
    linked: Vec<LinkedPlugin>,
    files: &[PathBuf],
    host: &HostParts,
) -> Result<Loaded, LoadErrors> {
    load_within(LIMIT, config, linked, files, host).await
}

pub(super) async fn load_within(
    limit: Duration,
    config: &Config,
    linked: Vec<LinkedPlugin>,
    files: &[PathBuf],
    host: &HostParts,
) -> Result<Loaded, LoadErrors> {
    let mut loader = Loader {
        limit,
        config,
        host,
        runtime: Handle::current(),
        catalog: CatalogBuilder::new(config.server.base_path.as_str(), host.is_reserved),
        instances: Vec::new(),
        settings: AllSettings::default(),
        origins: HashMap::new(),
    };
    let mut errors = Vec::new();
    for wanted in wanted(config, linked, files)? {
        // One that must not fail open is not left out either.
        let required = wanted.required || wanted.on_error == Some(OnError::Deny);
        let label = wanted.label();
        let Err(reasons) = loader.load(wanted).await else {
            continue;
        };
        if required || reasons.iter().any(LoadError::is_final) {
            errors.extend(reasons);
            continue;
        }
        for reason in reasons {
            tracing::error!("{}; the server starts without it", in_one_line(&reason));
        }
        loader.settings.left_out.push(label);
    }
    LoadErrors::collect(errors)?;
    let catalog = loader.catalog.build();
    loader.settings.check_names(config, &catalog)?;
    Ok(Loaded {
        catalog,
        instances: loader.instances,
    })
}

/// An instance that is to be loaded.
struct Wanted {
    /// `None` for what the library calls itself.
    name: Option<String>,
    source: Source,
    /// The digest that its library must have.
    digest: Option<LibraryDigest>,
    settings: Value,
    /// The index among `[[plugins.load]]`.
    entry: Option<usize>,
    required: bool,
    on_error: Option<OnError>,
    grants: Vec<String>,
}

/// Where an instance comes from.
enum Source {
    Program(Code),
    Folder { folder: PathBuf, file_name: String },
    File(PathBuf),
}

/// Why an instance was not created.
enum NotCreated {
    /// What its plugin says.
    Said(Error),
    /// What it offers cannot be.
    Offer(LoadError),
}

struct Loader<'a> {
    limit: Duration,
    config: &'a Config,
    host: &'a HostParts,
    runtime: Handle,
    catalog: CatalogBuilder,
    instances: Vec<Arc<Instance>>,
    settings: AllSettings,
    /// Where the instance of a name comes from, for people.
    origins: HashMap<String, String>,
}

// === what is wanted ===

fn wanted(
    config: &Config,
    linked: Vec<LinkedPlugin>,
    files: &[PathBuf],
) -> Result<Vec<Wanted>, LoadError> {
    let plugins = &config.plugins;
    let mut wanted: Vec<Wanted> = linked.into_iter().map(Wanted::linked).collect();
    let entries = plugins.load.iter().enumerate();
    wanted.extend(entries.map(|(index, entry)| Wanted::entry(&plugins.dir, index, entry)));
    wanted.extend(unlisted(config)?);
    wanted.extend(files.iter().map(|path| Wanted::file(path)));
    Ok(wanted)
}

/// The libraries of the folder that no entry names: wanted with `autoload`, else mentioned.
fn unlisted(config: &Config) -> Result<Vec<Wanted>, LoadError> {
    let plugins = &config.plugins;
    let listed: HashSet<String> = plugins
        .load
        .iter()
        .map(|entry| entry.library().file_name())
        .collect();
    let names = match file_names(&plugins.dir) {
        Ok(names) => names,
        // Nothing to load from it, nothing wrong with it.
        Err(error) if listed.is_empty() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(source) => {
            return Err(LoadError::Folder {
                path: plugins.dir.clone(),
                source,
            });
        }
    };
    let mut wanted = Vec::new();
    for file_name in names {
        if listed.contains(&file_name) {
            continue;
        }
        let read = LibraryFile::in_folder(&plugins.dir, &file_name);
        let manifest = read.and_then(|file| file.manifest());
        match manifest {
            Err(LibraryError::NotAPlugin) => {}
            Ok(_) | Err(_) if plugins.autoload => {
                wanted.push(Wanted::unlisted(&plugins.dir, file_name));
            }
            Ok(manifest) => {
                let library = bare_name(&file_name);
                tracing::info!(
                    "{file_name} is in the plugin folder and not loaded; to load it, write:\n\
                     [[plugins.load]]\nname = {:?}\nlibrary = {library:?}",
                    manifest.name
                );
            }
            Err(error) => tracing::info!(
                "{file_name} is in the plugin folder and not loaded; it could not be: {}",
                in_one_line(&error)
            ),
        }
    }
    Ok(wanted)
}

/// The files of the folder that are named as libraries are, in the order of their names.
fn file_names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        if let Ok(name) = name
            && !bare_name(&name).is_empty()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// `jwt_auth` of `libjwt_auth.so`; empty for any other name.
fn bare_name(file_name: &str) -> &str {
    file_name
        .strip_prefix("lib")
        .and_then(|rest| rest.strip_suffix(".so"))
        .unwrap_or_default()
}

// === impl Wanted ===

impl Wanted {
    fn new(source: Source) -> Self {
        Self {
            name: None,
            source,
            digest: None,
            settings: Value::Object(Map::new()),
            entry: None,
            required: true,
            on_error: None,
            grants: Vec::new(),
        }
    }

    fn linked(plugin: LinkedPlugin) -> Self {
        let LinkedPlugin { name, config, code } = plugin;
        Self {
            name: Some(name),
            settings: config,
            grants: code.manifest.grants.clone(),
            ..Self::new(Source::Program(code))
        }
    }

    fn entry(folder: &Path, index: usize, entry: &PluginEntry) -> Self {
        let source = Source::Folder {
            folder: folder.to_owned(),
            file_name: entry.library().file_name(),
        };
        Self {
            name: Some(entry.name.to_string()),
            digest: entry.sha256.clone(),
            settings: entry.config.value().clone(),
            entry: Some(index),
            required: entry.required,
            on_error: entry.on_error,
            grants: entry.grants.clone(),
            ..Self::new(source)
        }
    }

    fn unlisted(folder: &Path, file_name: String) -> Self {
        Self::new(Source::Folder {
            folder: folder.to_owned(),
            file_name,
        })
    }

    fn file(path: &Path) -> Self {
        Self::new(Source::File(path.to_owned()))
    }

    /// What errors call it before its library has said its name.
    fn label(&self) -> String {
        match (&self.name, &self.source) {
            (Some(name), _) => name.clone(),
            (None, Source::Program(code)) => code.manifest.name.clone(),
            (None, Source::Folder { file_name, .. }) => file_name.clone(),
            (None, Source::File(path)) => path.display().to_string(),
        }
    }

    fn origin(&self) -> String {
        match &self.source {
            Source::Program(_) => "a part of this program".to_owned(),
            Source::Folder { folder, file_name } => folder.join(file_name).display().to_string(),
            Source::File(path) => path.display().to_string(),
        }
    }
}

// === impl Loader ===

impl Loader<'_> {
    async fn load(&mut self, wanted: Wanted) -> Result<(), Vec<LoadError>> {
        let label = wanted.label();
        let code = self.code(&wanted, &label).await.map_err(one)?;
        let name = self.named(&wanted, &code).map_err(one)?;
        let schema = self.config_schema(&name, &code).await.map_err(one)?;
        settings::check(self.config, wanted.entry, &name, &wanted.settings, &schema)?;
        for grant in &code.manifest.grants {
            if !wanted.grants.contains(grant) {
                tracing::warn!(
                    plugin = name,
                    "plugin wants the grant {grant:?}, which its entry does not give"
                );
            }
        }
        let (instance, offer) = self.create(&wanted, &name, code).await.map_err(one)?;
        log_loaded(&instance, &offer);
        self.catalog.add(&instance, offer, wanted.on_error)?;
        self.origins.insert(name.clone(), wanted.origin());
        self.settings.each.push(Settings {
            entry: wanted.entry,
            instance: name,
            value: wanted.settings,
            schema,
        });
        self.instances.push(instance);
        Ok(())
    }

    /// The functions of the plugin; reads and opens its library.
    async fn code(&self, wanted: &Wanted, label: &str) -> Result<Code, LoadError> {
        let (path, in_folder) = match &wanted.source {
            Source::Program(code) => return Ok(code.clone()),
            Source::Folder { folder, file_name } => (
                folder.join(file_name),
                Some((folder.clone(), file_name.clone())),
            ),
            Source::File(path) => (path.clone(), None),
        };
        let (production, shown) = (self.config.mode() == Mode::Production, path.clone());
        let digest = wanted.digest.clone();
        let open = move || {
            let file = match in_folder {
                Some((folder, file_name)) => LibraryFile::in_folder(&folder, &file_name)?,
                None => LibraryFile::at(&path)?,
            };
            if production && file.group_may_write {
                tracing::warn!(
                    "the group of {} may change it; run chmod g-w",
                    path.display()
                );
            }
            file.load(digest.as_ref())
        };
        tracing::debug!(plugin = label, path = %shown.display(), "opening a library");
        let opened = self.on_thread(label, LOADING, open).await?;
        let image = opened.map_err(|error| LoadError::library(label, shown, error))?;
        Ok(Code::of_image(image))
    }

    /// The instance's name, which nobody else may have.
    fn named(&self, wanted: &Wanted, code: &Code) -> Result<String, LoadError> {
        let name = match &wanted.name {
            Some(name) => name.clone(),
            None => code.manifest.name.clone(),
        };
        if let Err(message) = InstanceName::try_from(name.clone()) {
            return Err(LoadError::Name {
                instance: name,
                kind: "itself",
                message,
            });
        }
        match self.origins.get(&name) {
            None => Ok(name),
            Some(first) => Err(LoadError::TwoInstances {
                first: first.clone(),
                second: wanted.origin(),
                instance: name,
            }),
        }
    }

    async fn config_schema(&self, name: &str, code: &Code) -> Result<Value, LoadError> {
        let config_schema = code.config_schema;
        let text = self
            .on_thread(name, "description of its configuration", move || {
                config_schema()
            })
            .await?;
        info(name, "its configuration", &text)
    }

    async fn create(
        &self,
        wanted: &Wanted,
        name: &str,
        code: Code,
    ) -> Result<(Arc<Instance>, Offer), LoadError> {
        let name: Arc<str> = name.into();
        let metrics = &self.host.metrics;
        let meters = metrics.instance(&name);
        let created = Arc::new(AtomicBool::new(false));
        let bridge = HostBridge {
            instance: Arc::clone(&name),
            api: Arc::clone(&self.host.api),
            created: Arc::clone(&created),
            clock: self.host.clock,
            runtime: self.runtime.clone(),
            reported: metrics.reported(&name, &code.manifest.name),
        };
        let request = CreateRequest {
            instance: (&*name).into(),
            config: AbiBytes::from(wanted.settings.to_string()),
            host: host_object(bridge),
            telemetry: telemetry(),
        };
        let (origin, required) = (wanted.origin(), wanted.required);
        let (label, runtime) = (Arc::clone(&name), self.runtime.clone());
        let create = move || {
            let object =
                convert::result_from_abi((code.create)(request)).map_err(NotCreated::Said)?;
            let instance = Instance::new(InstanceParts {
                name,
                manifest: code.manifest,
                origin,
                required,
                runtime,
                meters,
                object,
                image: code.image,
            });
            let offer = offer(&instance).map_err(NotCreated::Offer)?;
            created.store(true, Ordering::Release);
            Ok((instance, offer))
        };
        let created = self.on_thread(&label, "create", create).await?;
        created.map_err(|error| match error {
            NotCreated::Offer(error) => error,
            NotCreated::Said(error) => self.not_created(wanted, &label, &error),
        })
    }

    /// Why an instance was not created, as the plugin has said it.
    fn not_created(&self, wanted: &Wanted, name: &str, error: &Error) -> LoadError {
        let Wanted {
            entry, settings, ..
        } = wanted;
        let message = settings::unshown(self.config, *entry, settings, error.message());
        let instance = name.to_owned();
        match error.code() {
            Some(Error::CONFIG) => {
                let error = error.clone().with_message(message);
                settings::refused(self.config, *entry, name, &error)
            }
            Some(Error::PANIC) => LoadError::Panicked {
                instance,
                place: panicked_in(error).to_owned(),
                message,
            },
            _ => LoadError::Create { instance, message },
        }
    }

    /// Calls code of a plugin on a thread of its own: one that never comes back is left behind,
    /// and does not keep the process from ending.
    async fn on_thread<T: Send + 'static>(
        &self,
        instance: &str,
        stage: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let runtime = self.runtime.clone();
        let spawned = std::thread::Builder::new()
            .name("mortise-load".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let _entered = runtime.enter();
                let _gone = sender.send(guard::guarded(work));
            });
        let failed = |message: String| LoadError::Create {
            instance: instance.to_owned(),
            message,
        };
        spawned.map_err(|error| failed(format!("no thread for it: {error}")))?;
        match timeout(self.limit, receiver).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(panic))) => Err(LoadError::Panicked {
                instance: instance.to_owned(),
                place: stage.to_owned(),
                message: panic.message().to_owned(),
            }),
            Ok(Err(_)) => Err(failed("its thread ended without an answer".to_owned())),
            Err(_) => Err(LoadError::Hung {
                instance: instance.to_owned(),
                stage,
                limit: self.limit,
            }),
        }
    }
}

fn offer(instance: &Arc<Instance>) -> Result<Offer, LoadError> {
    let object = instance.object();
    Ok(Offer {
        agents: adapters(instance, object.agents(), AgentAdapter::new)?,
        models: adapters(instance, object.models(), ModelAdapter::new)?,
        tools: adapters(instance, object.tools(), ToolAdapter::new)?,
        toolset: ToolsetAdapter::of(instance),
        hooks: adapters(instance, object.hooks(), HookAdapter::new)?,
        mounts: adapters(instance, object.mounts(), MountAdapter::new)?,
    })
}

fn log_loaded(instance: &Instance, offer: &Offer) {
    let manifest = instance.manifest();
    tracing::info!(
        plugin = %instance.name(),
        library = manifest.name,
        version = manifest.version,
        api = manifest.api,
        sdk = manifest.sdk,
        rustc = manifest.rustc,
        digest = instance.digest(),
        from = instance.origin(),
        agents = offer.agents.len(),
        models = offer.models.len(),
        tools = offer.tools.len(),
        hooks = offer.hooks.len(),
        mounts = offer.mounts.len(),
        "plugin loaded"
    );
}

/// Which call of a library panicked while an instance was made; older libraries do not tell.
fn panicked_in(error: &Error) -> &str {
    let call = error.context().and_then(|context| context.get("call"));
    call.and_then(Value::as_str).unwrap_or("create")
}

fn one(error: LoadError) -> Vec<LoadError> {
    vec![error]
}

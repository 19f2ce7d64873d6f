//! One instance of a plugin: what keeps it alive, starts it, ends it, and counts its panics.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use mortise_plugin_abi::{AbiFuture, AbiResult, PluginObject, RunObject};
use mortise_plugin_api::ffi::{Manifest, convert, guard};
use mortise_plugin_api::{Error, Result};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, PANICS};
use super::bridge;
use super::capability::{BoxFuture, RunServices};
use super::error::LoadError;
use super::image::Image;
use super::watchdog::{Inside, Watched};
use crate::metrics::InstanceMeters;

/// One instance of a plugin. Whoever may call it keeps it alive.
pub(crate) struct Instance {
    name: Arc<str>,
    manifest: Arc<Manifest>,
    origin: String,
    required: bool,
    runtime: Handle,
    breaker: Breaker,
    watched: Watched,
    meters: InstanceMeters,
    started: AtomicBool,
    /// Whether it failed to start, and the server goes on without it.
    is_out: AtomicBool,
    object: PluginObject,
    // Last, after everything whose drop is code of the library.
    image: Option<Arc<Image>>,
}

/// What an instance is made of.
pub(super) struct InstanceParts {
    pub(super) name: Arc<str>,
    pub(super) manifest: Arc<Manifest>,
    /// Where it comes from, for people.
    pub(super) origin: String,
    pub(super) required: bool,
    pub(super) runtime: Handle,
    pub(super) meters: InstanceMeters,
    pub(super) object: PluginObject,
    pub(super) image: Option<Arc<Image>>,
}

/// Connecting to a database may take its time; more than this is a mistake.
const START_LIMIT: Duration = Duration::from_secs(30);
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Starts the instances in order.
///
/// # Errors
/// The first that does not start, unless the configuration can do without it: then nothing of that
/// one is called any more. What was started before is left to [`shutdown_all`].
pub(crate) async fn start_all(instances: &[Arc<Instance>]) -> Result<(), LoadError> {
    for instance in instances {
        match instance.start().await {
            Ok(()) => {}
            Err(error) if instance.required => return Err(error),
            Err(error) => {
                tracing::error!(
                    plugin = %instance.name,
                    "{error}; the server starts without it: its hooks fail as their on_error says, \
                     all else that it offers is unavailable"
                );
                instance.leave_out().await;
            }
        }
    }
    Ok(())
}

/// Ends the started instances, the last one first.
pub(crate) async fn shutdown_all(instances: &[Arc<Instance>]) {
    for instance in instances.iter().rev() {
        instance.shutdown().await;
    }
}

// === impl Instance ===

impl Instance {
    pub(super) fn new(parts: InstanceParts) -> Arc<Self> {
        let InstanceParts {
            name,
            manifest,
            origin,
            required,
            runtime,
            meters,
            object,
            image,
        } = parts;
        Arc::new(Self {
            watched: Watched::new(&name),
            name,
            manifest,
            origin,
            required,
            runtime,
            breaker: Breaker::default(),
            meters,
            started: AtomicBool::new(false),
            is_out: AtomicBool::new(false),
            object,
            image,
        })
    }

    /// The name in the configuration.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the library says of itself.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it comes from, for people.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// SHA-256 of the library, in hex; empty for one that is linked in.
    pub(crate) fn digest(&self) -> &str {
        self.image.as_ref().map_or("", |image| &image.digest)
    }

    /// What is counted of it.
    pub(super) fn meters(&self) -> &InstanceMeters {
        &self.meters
    }

    pub(super) fn object(&self) -> &PluginObject {
        &self.object
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    async fn start(self: &Arc<Self>) -> Result<(), LoadError> {
        // Before the call: what a start that failed half-way has begun, `shutdown` ends.
        self.started.store(true, Ordering::Release);
        let started = self.call("start", || Ok(self.object.start()), |_, ()| Ok(()));
        match timeout(START_LIMIT, started).await {
            Ok(Ok(())) => {
                tracing::info!(
                    plugin = %self.name,
                    library = self.manifest.name,
                    version = self.manifest.version,
                    "plugin started"
                );
                Ok(())
            }
            Ok(Err(error)) => Err(LoadError::Start {
                instance: self.name.to_string(),
                message: error.message().to_owned(),
            }),
            Err(_) => Err(LoadError::Hung {
                instance: self.name.to_string(),
                stage: "start",
                limit: START_LIMIT,
            }),
        }
    }

    /// Gives up an instance that did not start: what it has begun is ended, and nothing of it is
    /// called any more.
    async fn leave_out(self: &Arc<Self>) {
        self.is_out.store(true, Ordering::Release);
        self.shutdown().await;
    }

    async fn shutdown(self: &Arc<Self>) {
        if !self.started.swap(false, Ordering::AcqRel) {
            return;
        }
        // Past the breaker: a plugin that is switched off still gives back what it holds.
        let ended = Call::new(self, "shutdown", self.object.shutdown(), |_, ()| Ok(()));
        match timeout(SHUTDOWN_LIMIT, ended).await {
            Ok(Ok(())) => tracing::debug!(plugin = %self.name, "plugin shut down"),
            Ok(Err(error)) => {
                tracing::warn!(plugin = %self.name, "shutdown failed: {}", error.message());
            }
            Err(_) => {
                tracing::warn!(
                    plugin = %self.name,
                    "shutdown was cut off after {} s",
                    SHUTDOWN_LIMIT.as_secs()
                );
            }
        }
    }

    // === calls ===

    /// The thread is in code of this instance until this is dropped.
    pub(super) fn enter(&self) -> Inside {
        self.watched.enter()
    }

    /// The run as it crosses.
    pub(super) fn crossed(&self, run: Arc<dyn RunServices>) -> RunObject {
        bridge::run_object(run, &self.runtime)
    }

    /// Refuses calls of an instance that did not start, and calls of hooks while the plugin's hooks
    /// are switched off: their policy answers.
    ///
    /// Only hooks are switched off: they are called for requests that did not ask for them. Who
    /// calls an endpoint, a tool or an agent wants just that, and its panic fails that call alone.
    pub(super) fn check_on(&self, what: &str) -> Result<()> {
        if self.is_out.load(Ordering::Acquire) || self.breaker.may_be_open() {
            return self.check_closely(what);
        }
        Ok(())
    }

    #[cold]
    fn check_closely(&self, what: &str) -> Result<()> {
        if self.is_out.load(Ordering::Acquire) {
            return Err(if is_hook(what) {
                Error::new(
                    SWITCHED_OFF,
                    format!("plugin '{}' did not start", self.name),
                )
            } else {
                Error::unavailable("A part of the server that this needs is not available.")
            });
        }
        if !is_hook(what) {
            return Ok(());
        }
        let Some(left) = self.breaker.off_for(Instant::now()) else {
            return Ok(());
        };
        Err(Error::new(
            SWITCHED_OFF,
            format!(
                "plugin '{}' is switched off after {PANICS} panics; it is tried again in {} s",
                self.name,
                left.as_secs() + 1
            ),
        ))
    }

    /// A call whose answer comes later.
    pub(super) fn call<T, U, R>(
        self: &Arc<Self>,
        what: &'static str,
        begin: impl FnOnce() -> Result<AbiFuture<AbiResult<T>>>,
        read: R,
    ) -> BoxFuture<'static, Result<U>>
    where
        T: 'static,
        U: Send + 'static,
        R: FnOnce(&Arc<Self>, T) -> Result<U> + Send + Unpin + 'static,
    {
        let called = self.check_on(what).and_then(|()| {
            let _inside = self.enter();
            begin()
        });
        match called {
            Ok(crossed) => Box::pin(Call::new(self, what, crossed, read)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// A call that answers at once. A panic crosses as an error: there is no unwinding through the
    /// functions of a library.
    pub(super) fn call_now<T>(
        &self,
        what: &'static str,
        call: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.check_on(what)?;
        let inside = self.enter();
        let answer = call();
        drop(inside);
        // Not by `inspect_err`, which would move a large value about.
        self.note(what, &answer);
        answer
    }

    /// Logs a panic and counts it.
    pub(super) fn note<T>(&self, what: &str, result: &Result<T>) {
        if let Err(error) = result {
            self.note_error(what, error);
        }
    }

    #[cold]
    fn note_error(&self, what: &str, error: &Error) {
        if !error.is_panic() {
            return;
        }
        self.meters.panicked();
        tracing::error!(plugin = %self.name, call = what, "plugin {}", error.message());
        if is_hook(what) && self.breaker.count_panic(Instant::now()) {
            self.meters.switched_off();
            tracing::error!(
                plugin = %self.name,
                "plugin is switched off for a while after {PANICS} panics"
            );
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A call that is on its way.
struct Call<T, R> {
    /// `None` once it is over.
    crossed: Option<(AbiFuture<AbiResult<T>>, R)>,
    what: &'static str,
    // After the future: its drop is code of the library, and may want the library's runtime.
    instance: Arc<Instance>,
}

// === impl Call ===

impl<T, R> Call<T, R> {
    fn new<U>(
        instance: &Arc<Instance>,
        what: &'static str,
        crossed: AbiFuture<AbiResult<T>>,
        read: R,
    ) -> Self
    where
        R: FnOnce(&Arc<Instance>, T) -> Result<U>,
    {
        Self {
            crossed: Some((crossed, read)),
            what,
            instance: Arc::clone(instance),
        }
    }
}

impl<T, U, R> Future for Call<T, R>
where
    R: FnOnce(&Arc<Instance>, T) -> Result<U> + Unpin,
{
    type Output = Result<U>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some((crossed, _)) = &mut this.crossed else {
            return Poll::Ready(Err(Error::internal("polled after it had ended")));
        };
        // The SDK contains the author's panics; this contains whoever does not use it.
        let inside = this.instance.enter();
        let polled = guard::guarded(|| Pin::new(crossed).poll(context));
        drop(inside);
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => convert::result_from_abi(result),
            Err(panic) => Err(panic),
        };
        let read = this.crossed.take().map(|(_, read)| read);
        let result = match (result, read) {
            (Ok(value), Some(read)) => read(&this.instance, value),
            (Ok(_), None) => Err(Error::internal("polled after it had ended")),
            (Err(error), _) => Err(error),
        };
        this.instance.note(this.what, &result);
        Poll::Ready(result)
    }
}

/// The code of a hook that is not asked, since its plugin panicked too often or did not start.
pub(crate) const SWITCHED_OFF: &str = "SWITCHED_OFF";

fn is_hook(what: &str) -> bool {
    what.starts_with("hook.")
}

//! The fake host: a clock that stands still, state and limits in memory, scripted services.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::jobs::Jobs;
use super::limits::Counted;
use super::loaded::{self, Loaded};
use crate::backend::{BoxFuture, HostBackend};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::limit::{Limit, Taken};
use crate::message::FinishReason;
use crate::metric::{Metric, MetricKind};
use crate::model::{Chunk, ModelRequest};
use crate::plugin::Plugin;
use crate::request::Request;
use crate::time::millis;

/// A host for tests. Cheap to clone; the clones are the same host.
#[derive(Clone)]
pub struct FakeHost {
    pub(super) shared: Arc<Shared>,
}

/// What all clones, and all that was loaded, share.
pub(super) struct Shared {
    pub(super) instance: String,
    now: watch::Sender<u64>,
    known: Mutex<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    services: BTreeMap<String, Service>,
    tools: BTreeMap<String, Service>,
    models: BTreeMap<String, ScriptedModel>,
    state: BTreeMap<String, Value>,
    metrics: Vec<RecordedMetric>,
    calls: Vec<(String, Value)>,
    counted: Counted,
    pub(super) jobs: Jobs,
    ids: u64,
}

pub(super) type Service = Arc<dyn Fn(Value) -> Result<Value> + Send + Sync>;
pub(super) type ScriptedModel = Arc<dyn Fn(ModelRequest) -> Result<Vec<Chunk>> + Send + Sync>;

/// A number that a plugin reported.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedMetric {
    /// What kind of number.
    pub kind: MetricKind,
    /// The name.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its labels, in the order in which they were given.
    pub labels: Vec<(String, String)>,
}

// === impl FakeHost ===

impl FakeHost {
    /// A host for an instance of this name. Its clock stands at 2025-01-01.
    pub fn new(instance: impl Into<String>) -> Self {
        let shared = Shared {
            instance: instance.into(),
            now: watch::Sender::new(1_735_689_600_000),
            known: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The same host at another time, in milliseconds since 1970.
    #[must_use]
    pub fn at(self, now_millis: u64) -> Self {
        self.shared.now.send_replace(now_millis);
        self
    }

    /// Answers a service. What is not scripted, and is neither state, a limit (`limits.take`,
    /// `limits.hold`), a service of jobs nor one of the run at hand, answers `UNAVAILABLE`.
    #[must_use]
    pub fn with_service(
        self,
        name: impl Into<String>,
        answer: impl Fn(Value) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        self.known().services.insert(name.into(), Arc::new(answer));
        self
    }

    /// Offers a tool of another plugin to the agents under test.
    #[must_use]
    pub fn with_tool(
        self,
        name: impl Into<String>,
        answer: impl Fn(Value) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        self.known().tools.insert(name.into(), Arc::new(answer));
        self
    }

    /// Offers a model of another plugin, named `instance/name`.
    #[must_use]
    pub fn with_model(
        self,
        name: impl Into<String>,
        answer: impl Fn(ModelRequest) -> Result<Vec<Chunk>> + Send + Sync + 'static,
    ) -> Self {
        self.known().models.insert(name.into(), Arc::new(answer));
        self
    }

    /// Offers a model of another plugin that always says the same.
    #[must_use]
    pub fn with_model_that_says(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        self.with_model(name, move |_| {
            Ok(vec![Chunk::text(&text), Chunk::finish(FinishReason::Stop)])
        })
    }

    /// Sets a value of the instance's state before the test.
    #[must_use]
    pub fn with_state(self, key: impl Into<String>, value: Value) -> Self {
        self.known().state.insert(key.into(), value);
        self
    }

    /// Creates and registers an instance as the server does, with this `config` table.
    ///
    /// # Errors
    /// When the configuration does not fit [`Plugin::Config`] or its schema, and with whatever
    /// [`Plugin::create`] fails with. A key that is not known is an error where the type says
    /// `#[serde(deny_unknown_fields)]`, and passed over where it does not, as on the server.
    pub fn load<P: Plugin>(&self, config: Value) -> Result<Loaded> {
        loaded::load::<P>(self, config)
    }

    /// The host as a plugin sees it.
    pub fn host(&self) -> Host {
        self.host_after(Arc::new(AtomicBool::new(true)))
    }

    /// A host whose services answer `UNAVAILABLE` until `created`.
    pub(super) fn host_after(&self, created: Arc<AtomicBool>) -> Host {
        Host::new(Arc::new(Backend {
            shared: Arc::clone(&self.shared),
            created,
        }))
    }

    /// Moves the clock; what sleeps until then wakes up.
    pub fn advance(&self, duration: Duration) {
        let millis = millis(duration);
        self.shared.now.send_modify(|now| *now += millis);
    }

    /// A value of the instance's state.
    pub fn state(&self, key: &str) -> Option<Value> {
        self.known().state.get(key).cloned()
    }

    /// Everything that was reported, in order.
    pub fn metrics(&self) -> Vec<RecordedMetric> {
        self.known().metrics.clone()
    }

    /// The sum of a counter over all labels; of a gauge or a histogram, the last value.
    pub fn metric(&self, name: &str) -> f64 {
        let known = self.known();
        let reported = known.metrics.iter().filter(|metric| metric.name == name);
        reported.fold(0.0, |sum, metric| match metric.kind {
            MetricKind::Counter => sum + metric.value,
            MetricKind::Gauge | MetricKind::Histogram => metric.value,
        })
    }

    /// Ends every request: the places that they held are free.
    pub fn end_requests(&self) {
        self.known().counted.free_places();
    }

    /// The services that were called, with their payloads, in order.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.known().calls.clone()
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known()
    }
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeHost")
            .field("instance", &self.shared.instance)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_millis(&self) -> u64 {
        *self.now.borrow()
    }

    /// `prefix_1`, `prefix_2`, …
    pub(super) fn id(&self, prefix: &str) -> String {
        let mut known = self.known();
        known.ids += 1;
        format!("{prefix}_{}", known.ids)
    }

    pub(super) fn tool(&self, name: &str) -> Option<Service> {
        self.known().tools.get(name).cloned()
    }

    pub(super) fn model(&self, name: &str) -> Option<ScriptedModel> {
        self.known().models.get(name).cloned()
    }

    /// The scripted answer, `None` where the test has none; the call is remembered.
    pub(super) fn scripted(&self, service: &str, payload: &Value) -> Option<Result<Value>> {
        let answer = {
            let mut known = self.known();
            known.calls.push((service.to_owned(), payload.clone()));
            known.services.get(service).cloned()
        };
        answer.map(|answer| answer(payload.clone()))
    }

    fn call(&self, service: &str, payload: &Value) -> Result<Value> {
        if let Some(answer) = self.scripted(service, payload) {
            return answer;
        }
        let mut known = self.known();
        let key = payload["key"].as_str().unwrap_or_default().to_owned();
        match service {
            "state.get" => Ok(known.state.get(&key).cloned().unwrap_or_default()),
            "state.set" => {
                set(&mut known.state, key, payload["value"].clone());
                Ok(Value::Null)
            }
            "state.compare_and_set" => {
                let same = known.state.get(&key).unwrap_or(&Value::Null) == &payload["expected"];
                if same {
                    set(&mut known.state, key, payload["value"].clone());
                }
                Ok(same.into())
            }
            "limits.take" => {
                let limit = serde_json::from_value(payload["limit"].clone())?;
                let count = serde_json::from_value(payload["count"].clone())?;
                let now = self.now_millis();
                let taken = known.counted.take(&key, limit, count, now)?;
                Ok(serde_json::to_value(taken)?)
            }
            "limits.hold" => {
                let max = serde_json::from_value(payload["max"].clone())?;
                Ok(serde_json::to_value(known.counted.hold(&key, max))?)
            }
            "tools.changed" => Ok(Value::Null),
            other => {
                let served = known
                    .jobs
                    .serve(&self.instance, other, payload, self.now_millis());
                served.unwrap_or_else(|| Err(unavailable(other)))
            }
        }
    }
}

fn set(state: &mut BTreeMap<String, Value>, key: String, value: Value) {
    if value.is_null() {
        state.remove(&key);
    } else {
        state.insert(key, value);
    }
}

pub(super) fn unavailable(service: &str) -> Error {
    Error::unavailable(format!("the fake host has no service '{service}'"))
}

/// The fake host behind [`Host`].
struct Backend {
    shared: Arc<Shared>,
    created: Arc<AtomicBool>,
}

impl HostBackend for Backend {
    fn instance(&self) -> &str {
        &self.shared.instance
    }

    fn now_millis(&self) -> u64 {
        self.shared.now_millis()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let until = self.now_millis().saturating_add(millis(duration));
        let mut now = self.shared.now.subscribe();
        Box::pin(async move {
            // Fails only without a sender, and that is ours.
            let _ = now.wait_for(|now| *now >= until).await;
        })
    }

    fn metric(&self, metric: Metric<'_>) {
        self.shared.known().metrics.push(RecordedMetric {
            kind: metric.kind,
            name: metric.name.to_owned(),
            value: metric.value,
            labels: metric
                .labels
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        });
    }

    fn call<'a>(&'a self, service: &'a str, payload: Value) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move { self.serve(service, &payload) })
    }

    fn take(&self, key: &str, limit: Limit, count: u32) -> Result<Taken> {
        let payload = json!({ "key": key, "limit": limit, "count": count });
        Ok(serde_json::from_value(
            self.serve("limits.take", &payload)?,
        )?)
    }

    fn hold(&self, _request: &Request, key: &str, max: u32) -> Result<Taken> {
        let payload = json!({ "key": key, "max": max });
        Ok(serde_json::from_value(
            self.serve("limits.hold", &payload)?,
        )?)
    }
}

impl Backend {
    fn serve(&self, service: &str, payload: &Value) -> Result<Value> {
        if !self.created.load(Ordering::Relaxed) {
            return Err(Error::unavailable(
                "host services are not available while an instance is created",
            ));
        }
        self.shared.call(service, payload)
    }
}

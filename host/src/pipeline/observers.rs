//! Observers: told of everything, in order, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mortise_plugin_api::ffi::ObservationJson;
use mortise_plugin_api::{Event, ObservedPhase, RunInfo};
use serde_json::Value;
use tokio::sync::mpsc;

use super::within;
use crate::metrics::InstanceMeters;
use crate::plugin::SWITCHED_OFF;
use crate::plugin::capability::{Observed, OfferedHook, RunServices};
use crate::shutdown::Tasks;

/// How many observations may wait for a slow observer before the next ones are lost to it.
const QUEUE: usize = 8192;

/// A queue and a task for each hook that observes.
#[derive(Default)]
pub(crate) struct Observers {
    queues: Vec<Queue>,
    want_events: bool,
}

struct Queue {
    instance: Arc<str>,
    /// What it wants to be told of; empty means everything.
    observes: Vec<String>,
    sender: mpsc::Sender<Observed>,
    lost: AtomicU64,
    meters: InstanceMeters,
}

// === impl Observers ===

impl Observers {
    pub(super) fn new(hooks: &[Arc<OfferedHook>], timeout: Duration, tasks: &Tasks) -> Self {
        let queues = hooks.iter().map(|hook| {
            let (sender, receiver) = mpsc::channel(QUEUE);
            tasks.spawn(drain(Arc::clone(hook), timeout, receiver, tasks.clone()));
            Queue {
                instance: Arc::clone(&hook.instance),
                observes: hook.capability.info().observes.clone(),
                sender,
                lost: AtomicU64::new(0),
                meters: hook.meters.clone(),
            }
        });
        let queues: Vec<Queue> = queues.collect();
        let want_events = queues.iter().any(Queue::wants_events);
        Self {
            queues,
            want_events,
        }
    }

    /// Whether anybody wants to be told of any event.
    pub(crate) fn want_events(&self) -> bool {
        self.want_events
    }

    /// Whether anybody wants to be told of this: an event type, a phase, or `request`.
    pub(crate) fn wants(&self, what: &str) -> bool {
        self.queues.iter().any(|queue| queue.wants(what))
    }

    /// An event was appended.
    pub(crate) fn event(&self, run: &Arc<dyn RunServices>, event: &Arc<Event>) {
        for queue in self.queues.iter().filter(|queue| queue.wants(event.kind())) {
            queue.tell(Observed::Event {
                run: Arc::clone(run),
                event: Arc::clone(event),
            });
        }
    }

    /// Something happened in a run that is no event.
    pub(crate) fn phase_of(
        &self,
        run: &Arc<dyn RunServices>,
        phase: &str,
        data: impl FnOnce() -> Value,
    ) {
        debug_assert!(
            ObservedPhase::NAMES.contains(&phase),
            "{phase} is told to plugins"
        );
        if self.wants(phase) {
            let info = RunInfo::clone(&run.info());
            let observed = ObservationJson::Phase(ObservedPhase::new(phase, info, data()));
            match serde_json::to_string(&observed) {
                Ok(json) => self.json(phase, &json.into()),
                Err(error) => tracing::error!(%error, "an observation is no JSON"),
            }
        }
    }

    /// An observation that is encoded already, once for all.
    pub(super) fn json(&self, what: &str, json: &Arc<str>) {
        for queue in self.queues.iter().filter(|queue| queue.wants(what)) {
            queue.tell(Observed::Json(Arc::clone(json)));
        }
    }
}

impl Queue {
    fn wants_events(&self) -> bool {
        // Phases have a point in their names, and a request is no event.
        let is_event = |what: &String| what != "request" && !what.contains('.');
        self.observes.is_empty() || self.observes.iter().any(is_event)
    }

    fn wants(&self, what: &str) -> bool {
        self.observes.is_empty() || self.observes.iter().any(|own| own == what)
    }

    fn tell(&self, observed: Observed) {
        if self.sender.try_send(observed).is_err() {
            self.meters.observation_lost();
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::warn!(
                    instance = &*self.instance,
                    lost,
                    "an observer cannot keep up"
                );
            }
        }
    }
}

/// Tells one observer, one observation after the other, until the server stops.
///
/// Each takes `timeout` at most: an observer that hangs loses what it is told, and no more.
async fn drain(
    hook: Arc<OfferedHook>,
    timeout: Duration,
    mut queue: mpsc::Receiver<Observed>,
    tasks: Tasks,
) {
    loop {
        let observed = tokio::select! {
            biased;
            observed = queue.recv() => observed,
            () = tasks.stopping().cancelled() => queue.try_recv().ok(),
        };
        let Some(observed) = observed else { return };
        if let Err(error) = within(timeout, hook.capability.observe(observed)).await {
            hook.meters.hook_failed();
            if error.code() != Some(SWITCHED_OFF) {
                tracing::warn!(instance = &*hook.instance, %error, "an observer failed");
            }
        }
        // One that never waits would have the thread to itself, and could not be dropped.
        tokio::task::yield_now().await;
    }
}

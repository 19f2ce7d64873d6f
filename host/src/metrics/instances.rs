//! What the server counts of plugin instances.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::counters;

/// What is counted of all instances.
pub(super) struct Instances {
    guard_refusals: IntCounterVec,
    hook_failures: IntCounterVec,
    observations_lost: IntCounterVec,
    panics: IntCounterVec,
    switched_off: IntCounterVec,
    series_dropped: IntCounterVec,
}

/// What is counted of one instance. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct InstanceMeters(Option<Arc<Instance>>);

struct Instance {
    guard_refusals: IntCounter,
    hook_failures: IntCounter,
    observations_lost: IntCounter,
    panics: IntCounter,
    switched_off: IntCounter,
}

// === impl Instances ===

impl Instances {
    pub(super) fn new(registry: &Registry) -> Self {
        // Not `instance`: that is what Prometheus calls the server that it asks.
        let counters = |name, help| counters(registry, name, help, &["plugin"]);
        Self {
            guard_refusals: counters(
                "mortise_guard_refusals_total",
                "Requests that a guard did not let pass.",
            ),
            hook_failures: counters(
                "mortise_hook_failures_total",
                "Calls of hooks that failed, panicked, or took too long.",
            ),
            observations_lost: counters(
                "mortise_observations_lost_total",
                "Observations that an observer was not told, since it could not keep up.",
            ),
            panics: counters("mortise_plugin_panics_total", "Calls that panicked."),
            switched_off: counters(
                "mortise_plugin_switched_off_total",
                "How often the hooks were switched off after panics.",
            ),
            series_dropped: counters(
                "mortise_plugin_series_dropped_total",
                "Numbers that a plugin reported and that are not on this page; the log says why.",
            ),
        }
    }

    pub(super) fn series_dropped(&self, instance: &str) -> IntCounter {
        self.series_dropped.with_label_values(&[instance])
    }
}

// === impl InstanceMeters ===

impl InstanceMeters {
    pub(super) fn new(instances: Option<&Instances>, name: &str) -> Self {
        Self(instances.map(|instances| {
            let of = |counters: &IntCounterVec| counters.with_label_values(&[name]);
            Arc::new(Instance {
                guard_refusals: of(&instances.guard_refusals),
                hook_failures: of(&instances.hook_failures),
                observations_lost: of(&instances.observations_lost),
                panics: of(&instances.panics),
                switched_off: of(&instances.switched_off),
            })
        }))
    }

    pub(crate) fn guard_refused(&self) {
        if let Some(instance) = &self.0 {
            instance.guard_refusals.inc();
        }
    }

    pub(crate) fn hook_failed(&self) {
        if let Some(instance) = &self.0 {
            instance.hook_failures.inc();
        }
    }

    pub(crate) fn observation_lost(&self) {
        if let Some(instance) = &self.0 {
            instance.observations_lost.inc();
        }
    }

    pub(crate) fn panicked(&self) {
        if let Some(instance) = &self.0 {
            instance.panics.inc();
        }
    }

    pub(crate) fn switched_off(&self) {
        if let Some(instance) = &self.0 {
            instance.switched_off.inc();
        }
    }
}

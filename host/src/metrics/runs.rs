//! What is counted of agents: their runs, their tools, and what their models use.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use mortise_plugin_api::Usage;
use prometheus::{
    Counter, CounterVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use super::{counters, gauged, gauges, histograms, registered};

/// What is counted of all agents.
#[derive(Clone)]
pub(super) struct Runs {
    started: IntCounterVec,
    ended: IntCounterVec,
    duration: HistogramVec,
    running: IntGaugeVec,
    waiting: IntGaugeVec,
    tool_calls: IntCounterVec,
    late_events: IntCounterVec,
    model_requests: IntCounterVec,
    tokens: IntCounterVec,
    cost: CounterVec,
}

/// What is counted of one agent. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct AgentMeters(Option<Arc<Agent>>);

struct Agent {
    name: String,
    runs: Runs,
    started: IntCounter,
    /// By the place of the end in [`ENDS`].
    ended: [IntCounter; ENDS.len()],
    duration: Histogram,
    running: IntGauge,
    waiting: IntGauge,
    /// By the place of the outcome in [`OUTCOMES`].
    tool_calls: [IntCounter; OUTCOMES.len()],
    late_events: IntCounter,
    /// The models that it has asked: few, and never fewer.
    models: ArcSwap<Vec<Arc<Model>>>,
}

/// What is counted of one model for one agent.
struct Model {
    name: String,
    requests: IntCounter,
    /// By the place of the kind in [`KINDS`].
    tokens: [IntCounter; KINDS.len()],
    /// Without a price there is none.
    cost: OnceLock<Counter>,
}

/// How the work at a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnded {
    Finished,
    Failed,
    Aborted,
    /// It goes on with the next start of the server.
    Parked,
}

const ENDS: [&str; 4] = ["finished", "failed", "aborted", "parked"];
/// The model reads a result, or an error; or the call ends its run.
const OUTCOMES: [&str; 3] = ["ok", "error", "thrown"];
const KINDS: [&str; 4] = ["input", "cached_input", "output", "reasoning"];

/// Beyond so many models of one agent, the others share a label.
const MOST_MODELS: usize = 32;
const OTHER_MODEL: &str = "other";
/// The model of a coded agent that tells itself what it has used.
const NO_MODEL: &str = "-";

// === impl Runs ===

impl Runs {
    pub(super) fn new(registry: &Registry) -> Self {
        let counters = |name, help, labels| counters(registry, name, help, labels);
        let cost = Opts::new(
            "mortise_cost_total",
            "What models have cost, in the currency of [prices].",
        );
        Self {
            started: counters(
                "mortise_runs_started_total",
                "Runs that began, or went on after a restart.",
                &["agent"],
            ),
            ended: counters(
                "mortise_runs_ended_total",
                "Runs that ended.",
                &["agent", "end"],
            ),
            duration: histograms(
                registry,
                "mortise_run_duration_seconds",
                "How long runs lived that ended, time in which they waited included.",
                &["agent"],
            ),
            running: gauges(
                registry,
                "mortise_runs_running",
                "Runs that have not ended, those that wait included.",
                &["agent"],
            ),
            waiting: gauges(
                registry,
                "mortise_runs_waiting",
                "Runs that wait for a client or a decision.",
                &["agent"],
            ),
            tool_calls: counters(
                "mortise_tool_calls_total",
                "Calls of tools in runs.",
                &["agent", "outcome"],
            ),
            late_events: counters(
                "mortise_late_events_total",
                "Events that a plugin emitted after its run had ended, which were refused.",
                &["agent"],
            ),
            model_requests: counters(
                "mortise_model_requests_total",
                "How often models were asked.",
                &["agent", "model"],
            ),
            tokens: counters(
                "mortise_tokens_total",
                "Tokens that models have used. Cached input is part of the input, reasoning of the \
                 output.",
                &["agent", "model", "kind"],
            ),
            cost: registered(registry, CounterVec::new(cost, &["agent", "model"])),
        }
    }
}

// === impl AgentMeters ===

impl AgentMeters {
    pub(super) fn new(runs: &Runs, name: &str) -> Self {
        let of = |counters: &IntCounterVec| counters.with_label_values(&[name]);
        Self(Some(Arc::new(Agent {
            started: of(&runs.started),
            ended: ENDS.map(|end| runs.ended.with_label_values(&[name, end])),
            duration: runs.duration.with_label_values(&[name]),
            running: runs.running.with_label_values(&[name]),
            waiting: runs.waiting.with_label_values(&[name]),
            tool_calls: OUTCOMES.map(|outcome| runs.tool_calls.with_label_values(&[name, outcome])),
            late_events: of(&runs.late_events),
            models: ArcSwap::default(),
            name: name.to_owned(),
            runs: runs.clone(),
        })))
    }

    pub(crate) fn run_started(&self) {
        if let Some(agent) = &self.0 {
            agent.started.inc();
        }
    }

    /// The work at a run is over, which began this many milliseconds ago.
    pub(crate) fn run_ended(&self, end: RunEnded, lived: impl FnOnce() -> u64) {
        let Some(agent) = &self.0 else { return };
        agent.ended[end as usize].inc();
        if end != RunEnded::Parked {
            let lived = Duration::from_millis(lived());
            agent.duration.observe(lived.as_secs_f64());
        }
    }

    pub(crate) fn set_alive(&self, running: usize, waiting: usize) {
        if let Some(agent) = &self.0 {
            agent.running.set(gauged(running));
            agent.waiting.set(gauged(waiting));
        }
    }

    /// A call of a tool is over; `None` where it ends its run.
    pub(crate) fn tool_called(&self, is_error: Option<bool>) {
        if let Some(agent) = &self.0 {
            let outcome = match is_error {
                Some(false) => 0,
                Some(true) => 1,
                None => 2,
            };
            agent.tool_calls[outcome].inc();
        }
    }

    pub(crate) fn event_was_late(&self) {
        if let Some(agent) = &self.0 {
            agent.late_events.inc();
        }
    }

    pub(crate) fn model_asked(&self, model: &str) {
        if let Some(agent) = &self.0 {
            agent.model(model).requests.inc();
        }
    }

    /// A model has used this; without one, the agent says so itself.
    pub(crate) fn used(&self, model: Option<&str>, tokens: &Usage, cost: Option<f64>) {
        let Some(agent) = &self.0 else { return };
        let model = agent.model(model.unwrap_or(NO_MODEL));
        let counts = [
            tokens.input_tokens,
            tokens.cached_input_tokens,
            tokens.output_tokens,
            tokens.reasoning_tokens,
        ];
        for (counter, count) in model.tokens.iter().zip(counts) {
            if let Some(count) = count {
                counter.inc_by(count);
            }
        }
        if let Some(cost) = cost {
            let labels = [agent.name.as_str(), model.name.as_str()];
            let sum = model
                .cost
                .get_or_init(|| agent.runs.cost.with_label_values(&labels));
            sum.inc_by(cost);
        }
    }
}

// === impl Agent ===

impl Agent {
    fn model(&self, name: &str) -> Arc<Model> {
        let find = |models: &[Arc<Model>], name| models.iter().find(|it| it.name == name).cloned();
        let models = self.models.load();
        if let Some(model) = find(&models, name) {
            return model;
        }
        let is_full = models.len() >= MOST_MODELS;
        let name = if is_full { OTHER_MODEL } else { name };
        if let Some(other) = find(&models, name) {
            return other;
        }
        drop(models);
        let model = Arc::new(Model::new(&self.runs, &self.name, name));
        self.models.rcu(|models| {
            let mut models = Vec::clone(models);
            if find(&models, name).is_none() {
                models.push(Arc::clone(&model));
            }
            models
        });
        model
    }
}

impl Model {
    fn new(runs: &Runs, agent: &str, name: &str) -> Self {
        Self {
            requests: runs.model_requests.with_label_values(&[agent, name]),
            tokens: KINDS.map(|kind| runs.tokens.with_label_values(&[agent, name, kind])),
            cost: OnceLock::new(),
            name: name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn models_beyond_the_limit_share_a_label() {
        let metrics = Metrics::of(true, Clock::SYSTEM);
        let name: Arc<str> = "one".into();
        let agents = metrics.agents([&name].into_iter());
        for number in 0..MOST_MODELS + 8 {
            for _ in 0..2 {
                agents[&name].model_asked(&format!("any/{number}"));
            }
        }
        let page = metrics.page().unwrap();
        let asked = page
            .lines()
            .filter(|it| it.starts_with("mortise_model_requests_total{"));
        let asked: Vec<&str> = asked.collect();
        assert_eq!(asked.len(), MOST_MODELS + 1);
        let others = r#"mortise_model_requests_total{agent="one",model="other"} 16"#;
        assert!(asked.contains(&others), "{asked:#?}");
    }
}

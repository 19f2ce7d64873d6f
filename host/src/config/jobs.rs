//! The `[jobs]` section: how many jobs are done at the same time, and what a worker promises.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{AgentName, Period};

/// How runs are done that were accepted to be done later.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Jobs {
    /// How many jobs are done at the same time.
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// How many of them with the same agent.
    #[schemars(range(min = 1))]
    pub concurrency_per_agent: usize,
    /// Agents of which another number is done at the same time, such as `{ triage = 4 }`.
    pub agents: BTreeMap<AgentName, usize>,
    /// How many jobs may wait; one more is refused.
    #[schemars(range(min = 1))]
    pub max_queued: usize,
    /// How long a job stays with a worker that says nothing; workers say something three times as
    /// often.
    pub lease: Period,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            concurrency: 8,
            concurrency_per_agent: 1,
            agents: BTreeMap::new(),
            max_queued: 100_000,
            lease: Period::from_secs(60),
        }
    }
}

// === impl Jobs ===

impl Jobs {
    /// How many jobs of this agent are done at the same time.
    pub fn limit_of(&self, agent: &str) -> usize {
        let own = self.agents.iter().find(|(name, _)| name.as_str() == agent);
        own.map_or(self.concurrency_per_agent, |(_, &limit)| limit)
    }
}

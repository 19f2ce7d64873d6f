//! Hook stages: which hooks a stage has, in the order of the configuration.
//!
//! `requests.rs` calls the stages of a request, `runs.rs` those of a run, `observers.rs` tells
//! whoever only watches, `jobs.rs` those who hear of jobs.

mod jobs;
mod observers;
mod requests;
mod runs;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{Error, Stage};

use crate::plugin::capability::OfferedHook;
use crate::shutdown::Tasks;

pub(crate) use self::observers::Observers;
pub(crate) use self::requests::{Authorization, GuardOutcome, Guards, Head, Sent};
pub(crate) use self::runs::{Held, Processed, to_json};

/// The hooks of all instances, by stage.
pub(crate) struct Pipeline {
    stages: HashMap<Stage, Vec<Arc<OfferedHook>>>,
    timeout: Duration,
    observers: Observers,
    /// The headers in which guards look for credentials: observers do not read them.
    credentials: Vec<String>,
}

// === impl Pipeline ===

impl Pipeline {
    /// Each hook has `timeout` for an answer.
    pub(crate) fn new(hooks: Vec<OfferedHook>, timeout: Duration, tasks: &Tasks) -> Self {
        let mut stages: HashMap<Stage, Vec<Arc<OfferedHook>>> = HashMap::new();
        let mut credentials = Vec::new();
        for hook in hooks {
            let hook = Arc::new(hook);
            credentials.extend_from_slice(&hook.capability.info().credentials);
            for &stage in &hook.capability.info().stages {
                stages.entry(stage).or_default().push(Arc::clone(&hook));
            }
        }
        let observers = Observers::new(
            stages.get(&Stage::Observe).map_or(&[], Vec::as_slice),
            timeout,
            tasks,
        );
        Self {
            stages,
            timeout,
            observers,
            credentials,
        }
    }

    /// The hooks of a stage, in order.
    pub(crate) fn at(&self, stage: Stage) -> &[Arc<OfferedHook>] {
        self.stages.get(&stage).map_or(&[], Vec::as_slice)
    }

    /// Whether any hook has this stage.
    pub(crate) fn has(&self, stage: Stage) -> bool {
        !self.at(stage).is_empty()
    }

    /// Those who only watch.
    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }

    /// How long a hook may take for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// What a hook answers, if it does in time.
async fn within<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::internal(format!("it took longer than {timeout:?}"))),
    }
}

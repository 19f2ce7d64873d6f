//! Hook stages: which hooks a stage has, in the order of the configuration.
//!
//! `requests.rs` calls the stages of a request, `runs.rs` those of a run, `observers.rs` tells
//! whoever only watches, `jobs.rs` those who hear of jobs.

mod jobs;
mod observers;
mod requests;
mod runs;

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{Error, OnError, Stage};

use crate::plugin::SWITCHED_OFF;
use crate::plugin::capability::OfferedHook;
use crate::shutdown::Tasks;

pub(crate) use self::observers::Observers;
pub(crate) use self::requests::{Authorization, GuardOutcome, Guards, Head, Sent};
pub(crate) use self::runs::{Held, Processed, to_json};

/// The hooks of all instances, by stage.
pub(crate) struct Pipeline {
    /// At the place of the stage's number.
    stages: Vec<Vec<Arc<OfferedHook>>>,
    timeout: Duration,
    observers: Observers,
    /// The headers in which guards look for credentials: observers do not read them.
    credentials: Vec<String>,
}

// === impl Pipeline ===

impl Pipeline {
    /// Each hook has `timeout` for an answer.
    pub(crate) fn new(hooks: Vec<OfferedHook>, timeout: Duration, tasks: &Tasks) -> Self {
        let mut stages: Vec<Vec<Arc<OfferedHook>>> = Vec::new();
        let mut credentials = Vec::new();
        for hook in hooks {
            let hook = Arc::new(hook);
            credentials.extend_from_slice(&hook.capability.info().credentials);
            for &stage in &hook.capability.info().stages {
                let number = stage as usize;
                stages.resize_with(stages.len().max(number + 1), Vec::new);
                stages[number].push(Arc::clone(&hook));
            }
        }
        let observers = Observers::new(at(&stages, Stage::Observe), timeout, tasks);
        Self {
            stages,
            timeout,
            observers,
            credentials,
        }
    }

    /// The hooks of a stage, in order.
    pub(crate) fn at(&self, stage: Stage) -> &[Arc<OfferedHook>] {
        at(&self.stages, stage)
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

fn at(stages: &[Vec<Arc<OfferedHook>>], stage: Stage) -> &[Arc<OfferedHook>] {
    stages.get(stage as usize).map_or(&[], Vec::as_slice)
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

/// What becomes of the request or the run when a hook fails: the log knows why, the client does not.
fn outcome_of_failure(hook: &OfferedHook, stage: Stage, failed: &Error) -> Result<(), Error> {
    match hook.on_error {
        OnError::Skip => {
            log_failure(hook, stage, failed, "skipped a hook that failed");
            Ok(())
        }
        OnError::Deny => {
            log_failure(hook, stage, failed, "a hook failed");
            Err(Error::internal(format!(
                "the hook {} of {} failed in the stage {}",
                hook.capability.info().name,
                hook.instance,
                stage.as_str(),
            )))
        }
    }
}

fn log_failure(hook: &OfferedHook, stage: Stage, failed: &Error, what: &'static str) {
    hook.meters.hook_failed();
    // That it is switched off was logged when it was.
    if failed.code() == Some(SWITCHED_OFF) {
        return;
    }
    tracing::warn!(
        instance = &*hook.instance,
        hook = &*hook.capability.info().name,
        stage = stage.as_str(),
        error = %failed,
        "{what}"
    );
}

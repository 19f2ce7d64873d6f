//! The stage of jobs: hooks that hear of them.

use mortise_plugin_api::{JobEvent, Stage};

use super::requests::call_stage;
use super::{Pipeline, log_failure, within};

// === impl Pipeline ===

impl Pipeline {
    /// Whether any hook wants to be told of jobs.
    pub(crate) fn hears_of_jobs(&self) -> bool {
        self.has(Stage::OnJob)
    }

    /// Tells hooks of a job, one after the other.
    pub(crate) async fn on_job(&self, event: &JobEvent) {
        for hook in self.at(Stage::OnJob) {
            let told = async { call_stage(hook, Stage::OnJob, event).await.map(drop) };
            if let Err(failed) = within(self.timeout, told).await {
                log_failure(hook, Stage::OnJob, &failed, "a hook failed");
            }
        }
    }
}

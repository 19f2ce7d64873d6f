//! Tells hooks of jobs: that an attempt begins, and, until they were told, that a job has ended.

use std::sync::PoisonError;

use mortise_plugin_api::JobEvent;
use tokio::sync::{mpsc, watch};

use super::{Jobs, STORE_AGAIN};
use crate::shutdown::Tasks;
use crate::store::{JobChange, JobFilter, StoreError, StoredJob, Whose};

/// How many ends are read at once.
const PAGE: u32 = 100;

// === impl Jobs ===

impl Jobs {
    /// Tells hooks until the observers end; nobody waits for them.
    pub(super) fn start_telling(&self, observers: &Tasks) {
        let shared = &self.shared;
        let mut heard = shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = heard.take();
        let Some(mut heard) = heard.filter(|_| shared.pipeline.hears_of_jobs()) else {
            return;
        };
        let news = self.runtime.job_news().subscribe();
        let stopping = observers.stopping().clone();
        let jobs = self.clone();
        observers.spawn(async move {
            let telling = jobs.tell_for_ever(&mut heard, news);
            if stopping.run_until_cancelled(telling).await.is_none() {
                // What ended last; what there is no time for is told after the next start.
                let _ = jobs.tell_ends(&mut heard).await;
            }
        });
    }

    async fn tell_for_ever(
        &self,
        heard: &mut mpsc::Receiver<JobEvent>,
        mut news: watch::Receiver<()>,
    ) {
        news.mark_changed(); // What the last server did not come to.
        let mut has_failed = false;
        loop {
            tokio::select! {
                Some(beginning) = heard.recv() => {
                    self.shared.pipeline.on_job(&beginning).await;
                    continue;
                }
                changed = news.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(STORE_AGAIN), if has_failed => {}
            }
            let told = self.tell_ends(heard).await;
            if let Err(error) = &told
                && !has_failed
            {
                tracing::warn!(%error, "hooks are told later that jobs have ended");
            }
            has_failed = told.is_err();
        }
    }

    async fn tell_ends(&self, heard: &mut mpsc::Receiver<JobEvent>) -> Result<(), StoreError> {
        loop {
            let untold = self.untold().await?;
            // Of all that have ended: they were sent before the ends were stored.
            while let Ok(beginning) = heard.try_recv() {
                self.shared.pipeline.on_job(&beginning).await;
            }
            if untold.is_empty() {
                return Ok(());
            }
            self.tell(untold).await?;
        }
    }

    /// The ends that hooks are still to be told of, the oldest first.
    async fn untold(&self) -> Result<Vec<StoredJob>, StoreError> {
        let filter = JobFilter {
            whose: Whose::Everybody,
            agent: None,
            state: None,
            is_untold: true,
            before: None,
            limit: PAGE,
        };
        self.shared.store.jobs(filter).await
    }

    async fn tell(&self, untold: Vec<StoredJob>) -> Result<(), StoreError> {
        let shared = &self.shared;
        for stored in untold {
            let event = JobEvent::of(stored.job);
            shared.pipeline.on_job(&event).await;
            let id = &event.job.id;
            shared.store.change_job(id, JobChange::Told).await?;
        }
        Ok(())
    }
}

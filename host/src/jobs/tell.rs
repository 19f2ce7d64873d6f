//! Tells hooks of jobs: that an attempt begins, and, until they were told, that a job has ended.

use std::sync::PoisonError;

use mortise_plugin_api::JobEvent;
use tokio::sync::{mpsc, watch};

use super::Jobs;
use crate::shutdown::Tasks;
use crate::store::{JobChange, JobFilter, StoredJob, Whose};

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
                jobs.tell_ends(&mut heard).await;
            }
        });
    }

    async fn tell_for_ever(
        &self,
        heard: &mut mpsc::Receiver<JobEvent>,
        mut news: watch::Receiver<()>,
    ) {
        news.mark_changed(); // What the last server did not come to.
        loop {
            tokio::select! {
                Some(beginning) = heard.recv() => self.shared.pipeline.on_job(&beginning).await,
                changed = news.changed() => match changed {
                    Ok(()) => self.tell_ends(heard).await,
                    Err(_) => return,
                },
            }
        }
    }

    async fn tell_ends(&self, heard: &mut mpsc::Receiver<JobEvent>) {
        loop {
            let untold = self.untold().await;
            // Of all that have ended: they were sent before the ends were stored.
            while let Ok(beginning) = heard.try_recv() {
                self.shared.pipeline.on_job(&beginning).await;
            }
            let told = match untold {
                Ok(untold) if untold.is_empty() => return,
                Ok(untold) => self.tell(untold).await,
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                tracing::warn!(%error, "hooks are told later that jobs have ended");
                return;
            }
        }
    }

    /// The ends that hooks are still to be told of, the oldest first.
    async fn untold(&self) -> Result<Vec<StoredJob>, crate::store::StoreError> {
        let filter = JobFilter {
            whose: Whose::Everybody,
            agent: None,
            state: None,
            is_untold: true,
            before: None,
            limit: PAGE,
        };
        let mut untold = self.shared.store.jobs(filter).await?;
        untold.reverse();
        Ok(untold)
    }

    async fn tell(&self, untold: Vec<StoredJob>) -> Result<(), crate::store::StoreError> {
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

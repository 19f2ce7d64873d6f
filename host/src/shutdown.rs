//! Every task of the server, so that somebody waits for each and a shutdown ends them all.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks may take to be dropped: one that is within code cannot be, until that comes back.
const LET_GO: Duration = Duration::from_secs(1);

/// The tasks of the server. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
    /// The grace period is over: whatever still runs is dropped.
    dropping: CancellationToken,
}

// === impl Tasks ===

impl Tasks {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Runs a future to its end, or to the end of the grace period of a shutdown.
    ///
    /// A task that should end earlier watches [`stopping`](Self::stopping).
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let dropping = self.dropping.clone();
        // Each future around another has room for it twice: where it comes from, and where it runs.
        let future = Box::pin(future);
        self.tracker.spawn(async move {
            dropping.run_until_cancelled_owned(future).await;
        });
    }

    /// Cancelled once the server is told to stop.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Whether the shutdown is over: a task that is spawned now is dropped at once.
    pub(crate) fn are_over(&self) -> bool {
        self.dropping.is_cancelled()
    }

    /// Tells all tasks to stop and waits for them; after `grace` the rest is dropped, and what cannot
    /// be is left alone a second later.
    ///
    /// Returns how many had to be dropped.
    pub(crate) async fn close_and_wait(&self, grace: Duration) -> usize {
        self.stopping.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
        {
            self.dropping.cancel();
            return 0;
        }
        let left = self.tracker.len();
        self.dropping.cancel();
        if tokio::time::timeout(LET_GO, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = self.tracker.len(),
                "code that does not come back holds tasks; the server ends without them"
            );
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_heeds_the_signal_is_waited_for() {
        let tasks = Tasks::new();
        let stopping = tasks.stopping().clone();
        tasks.spawn(async move { stopping.cancelled().await });
        assert!(!tasks.are_over());
        assert_eq!(tasks.close_and_wait(Duration::from_secs(5)).await, 0);
        assert!(tasks.are_over());
    }

    #[tokio::test]
    async fn a_task_that_does_not_is_dropped_after_the_grace_period() {
        let tasks = Tasks::new();
        tasks.spawn(std::future::pending());
        assert_eq!(tasks.close_and_wait(Duration::from_millis(5)).await, 1);
    }
}

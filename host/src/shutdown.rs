//! Every task of the server, so that somebody waits for each and a shutdown ends them all.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
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

    /// Runs a future to its end, as [`spawn`](Self::spawn) does. It begins in the task of whoever asks,
    /// and moves to a task of its own when it has to wait: what never does costs no switch of tasks.
    pub(crate) async fn begin(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut future = Box::pin(future);
        if futures_util::poll!(&mut future).is_pending() {
            self.spawn(future);
        }
    }

    /// What a future comes to, which runs to its end also when whoever waits for it goes: what was
    /// begun is not left half done. `None` where the end of the grace period came first.
    pub(crate) fn complete<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send {
        let (sender, receiver) = oneshot::channel();
        // In a box at once: whoever waits needs no room for it.
        let future = Box::pin(future);
        async move {
            self.begin(async move {
                // Nobody may be waiting any more.
                let _ = sender.send(future.await);
            })
            .await;
            receiver.await.ok()
        }
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
    async fn what_was_begun_is_done_though_nobody_waits_and_a_shutdown_waits_for_it() {
        let tasks = Tasks::new();
        assert_eq!(tasks.complete(async { 5 }).await, Some(5));

        let (go, going) = oneshot::channel::<()>();
        let (sender, mut done) = oneshot::channel();
        let begun = tasks.complete(async move {
            going.await.unwrap();
            sender.send("done").unwrap();
        });
        let mut begun = Box::pin(begun);
        assert!(futures_util::poll!(&mut begun).is_pending());
        drop(begun);
        let stopped = tasks.close_and_wait(Duration::from_secs(5));
        let mut stopped = Box::pin(stopped);
        assert!(futures_util::poll!(&mut stopped).is_pending());
        go.send(()).unwrap();
        assert_eq!(stopped.await, 0);
        assert_eq!(done.try_recv(), Ok("done"));
    }

    #[tokio::test]
    async fn whoever_waits_for_what_is_dropped_is_told() {
        let tasks = Tasks::new();
        let waiting = tasks.complete(std::future::pending::<()>());
        let mut waiting = Box::pin(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(tasks.close_and_wait(Duration::ZERO).await, 1);
        assert_eq!(waiting.await, None);
    }

    #[tokio::test]
    async fn a_task_that_does_not_is_dropped_after_the_grace_period() {
        let tasks = Tasks::new();
        tasks.spawn(std::future::pending());
        assert_eq!(tasks.close_and_wait(Duration::from_millis(5)).await, 1);
    }
}

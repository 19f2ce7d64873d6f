//! What one connection is doing, as its task, its requests and the table of connections see it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

/// What one connection is doing. Times are milliseconds since it was accepted.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    /// Requests whose answers were not sent to their ends.
    under_way: AtomicUsize,
    has_asked: AtomicBool,
    /// Whether requests share the connection, so that its bytes need not be those of a head.
    is_shared: AtomicBool,
    /// When the last request ended.
    idle_since: AtomicU64,
    /// When the head began that is being received.
    head_since: AtomicU64,
    /// Whether bytes wait until the peer takes them.
    is_blocked: AtomicBool,
    /// Whether it ends because the peer took nothing for too long.
    was_cut: AtomicBool,
    evicted: Notify,
}

/// How long a connection may keep the server waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    pub(super) head: Duration,
    pub(super) idle: Duration,
}

/// A request that is under way, to the end of its answer.
pub(super) struct UnderWay(Arc<Activity>);

/// The bytes of a connection, watched.
pub(super) struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
}

/// Wakes a connection's task when the connection has kept the server waiting for too long.
pub(super) struct Overdue {
    activity: Arc<Activity>,
    waits: Waits,
    sleep: Pin<Box<Sleep>>,
}

const NEVER: u64 = u64::MAX;

// === impl Activity ===

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            under_way: AtomicUsize::new(0),
            has_asked: AtomicBool::new(false),
            is_shared: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NEVER),
            is_blocked: AtomicBool::new(false),
            was_cut: AtomicBool::new(false),
            evicted: Notify::new(),
        })
    }

    /// A request has arrived.
    pub(super) fn begin(self: &Arc<Self>, version: http::Version) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.has_asked.store(true, Ordering::Release);
        self.head_since.store(NEVER, Ordering::Release);
        if version == http::Version::HTTP_2 {
            self.is_shared.store(true, Ordering::Release);
        }
        UnderWay(Arc::clone(self))
    }

    pub(super) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Acquire)
    }

    /// Whether no request is under way and nothing is being sent.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0 && !self.is_blocked.load(Ordering::Acquire)
    }

    /// Since when it has been idle.
    pub(super) fn idle_since(&self) -> Instant {
        self.at(self.idle_since.load(Ordering::Acquire))
    }

    /// Makes room for another connection.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Waits until it has to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// When the patience with the peer ends; `None` while it is the server's turn, or the
    /// system's, which waits for a peer that takes nothing.
    fn due(&self, waits: Waits) -> Option<Instant> {
        if !self.is_idle() {
            return None;
        }
        if !self.has_asked() {
            return Some(self.accepted + waits.head);
        }
        Some(match self.head_since.load(Ordering::Acquire) {
            NEVER => self.idle_since() + waits.idle,
            since => self.at(since) + waits.head,
        })
    }

    fn heard(&self) {
        let is_head = self.has_asked()
            && !self.is_shared.load(Ordering::Acquire)
            && self.under_way.load(Ordering::Acquire) == 0
            && self.head_since.load(Ordering::Acquire) == NEVER;
        if is_head {
            self.head_since.store(self.now(), Ordering::Release);
        }
    }

    fn now(&self) -> u64 {
        let age = self.accepted.elapsed().as_millis();
        u64::try_from(age).unwrap_or(NEVER - 1)
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.accepted + Duration::from_millis(milliseconds)
    }
}

// === impl UnderWay ===

impl UnderWay {
    /// Whether the server has cut the connection because the peer took nothing.
    pub(super) fn was_cut(&self) -> bool {
        self.0.was_cut.load(Ordering::Acquire)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.idle_since.store(activity.now(), Ordering::Release);
        activity.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl Watched ===

impl<I> Watched<I> {
    pub(super) fn new(io: I, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }

    fn noted<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        // The system says so when the peer took nothing for the whole of the write timeout.
        if let Poll::Ready(Err(error)) = &polled
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.activity.was_cut.store(true, Ordering::Release);
        }
        polled
    }

    fn written<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let blocked = &self.activity.is_blocked;
        if polled.is_pending() != blocked.load(Ordering::Relaxed) {
            blocked.store(polled.is_pending(), Ordering::Release);
        }
        self.noted(polled)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > filled {
            self.activity.heard();
        }
        self.noted(polled)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.written(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(context);
        self.written(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(context);
        self.noted(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

// === impl Overdue ===

impl Overdue {
    pub(super) fn new(activity: Arc<Activity>, waits: Waits) -> Self {
        let first = activity.accepted + waits.head;
        Self {
            activity,
            waits,
            sleep: Box::pin(tokio::time::sleep_until(first)),
        }
    }

    /// Ready once the peer's time is over. To be polled after whatever changes the activity.
    ///
    /// The timer is moved only to an earlier time; when it fires too early it is set again. So
    /// a request that comes and goes in time costs nothing.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.activity.due(self.waits);
            if let Some(due) = due
                && due < self.sleep.deadline()
            {
                self.sleep.as_mut().reset(due);
            }
            ready!(self.sleep.as_mut().poll(context));
            let now = Instant::now();
            match due {
                Some(due) if due <= now => return Poll::Ready(()),
                Some(due) => self.sleep.as_mut().reset(due),
                None => self.sleep.as_mut().reset(now + self.waits.idle),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http::Version;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const WAITS: Waits = Waits {
        head: Duration::from_secs(10),
        idle: Duration::from_mins(1),
    };

    async fn closed_after(activity: &Arc<Activity>) -> Duration {
        let started = Instant::now();
        let mut overdue = Overdue::new(Arc::clone(activity), WAITS);
        poll_fn(|context| overdue.poll(context)).await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_nothing_has_the_time_of_a_head() {
        let activity = Activity::new();
        assert_eq!(closed_after(&activity).await.as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_it_may_idle_and_during_one_it_is_left_alone() {
        let activity = Activity::new();
        let request = activity.begin(Version::HTTP_11);
        let ending = async {
            tokio::time::sleep(Duration::from_mins(5)).await;
            drop(request);
        };
        let (closed, ()) = tokio::join!(closed_after(&activity), ending);
        assert_eq!(closed.as_secs(), 360);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_head_that_is_not_finished_has_the_time_of_a_head() {
        let activity = Activity::new();
        drop(activity.begin(Version::HTTP_11));
        let (near, mut far) = tokio::io::duplex(64);
        let mut watched = Watched::new(near, Arc::clone(&activity));
        let mut overdue = Overdue::new(Arc::clone(&activity), WAITS);
        let started = Instant::now();
        let client = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            far.write_all(b"GET").await.unwrap();
            std::future::pending::<()>().await;
        };
        let mut bytes = [0; 8];
        let serving = async {
            let mut reading = std::pin::pin!(async {
                loop {
                    assert!(watched.read(&mut bytes).await.unwrap() > 0);
                }
            });
            poll_fn(|context| {
                let _: Poll<()> = reading.as_mut().poll(context);
                overdue.poll(context)
            })
            .await;
        };
        tokio::select! {
            () = client => {}
            () = serving => {}
        }
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_keeps_the_connection_from_being_idle() {
        let activity = Activity::new();
        let (near, mut far) = tokio::io::duplex(2);
        let mut watched = Watched::new(near, Arc::clone(&activity));
        let write = |context: &mut Context<'_>, watched: &mut Watched<_>| {
            let _ = Pin::new(watched).poll_write(context, b"12");
            Poll::Ready(())
        };
        poll_fn(|context| write(context, &mut watched)).await;
        assert!(activity.is_idle());
        poll_fn(|context| write(context, &mut watched)).await;
        assert!(!activity.is_idle());
        far.read_exact(&mut [0; 2]).await.unwrap();
        poll_fn(|context| write(context, &mut watched)).await;
        assert!(activity.is_idle());
    }
}

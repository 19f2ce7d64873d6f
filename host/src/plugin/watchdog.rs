//! Notices code of a plugin that does not come back: it holds a thread of the server.
//!
//! Nothing can be done about it from outside, but somebody should know which plugin it is, and the
//! others should go on: the thread may be the one that waits for sockets and timers, and another
//! takes that over once it is woken. Each thread has a place where it writes whose code it is in; one
//! more thread looks at them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

/// How often the threads are looked at.
const TICK: Duration = Duration::from_millis(250);
/// After so many ticks in one stretch of code, a second, the log says so.
const PATIENCE: u64 = 4;

/// A thread of the server.
struct Thread {
    /// Where it is: the number of an instance in the lower half, since which tick in the upper one; 0
    /// for code of nobody's.
    place: AtomicU64,
    /// Whose thread it is.
    runtime: Option<Handle>,
}

static WATCHDOG: LazyLock<Arc<Watchdog>> = LazyLock::new(Watchdog::start);

thread_local! {
    static HERE: Arc<Thread> = WATCHDOG.new_thread();
}

struct Watchdog {
    /// From 1.
    now: AtomicU64,
    threads: Mutex<Vec<Weak<Thread>>>,
    /// The names of instances; one that is there again, in an app or a generation, is itself.
    names: Mutex<Vec<Arc<str>>>,
}

/// Who an instance is to the watchdog.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched(u32);

/// The thread is in code of the instance until this is dropped.
pub(super) struct Inside {
    /// Where it was: a plugin may be asked by another one.
    outside: u64,
}

// === impl Watchdog ===

impl Watchdog {
    fn start() -> Arc<Self> {
        let watchdog = Arc::new(Self {
            now: AtomicU64::new(1),
            threads: Mutex::default(),
            names: Mutex::default(),
        });
        let own = Arc::clone(&watchdog);
        // It lives as long as the process. Out of threads, nobody looks.
        let _ = std::thread::Builder::new()
            .name("mortise-watchdog".to_owned())
            .spawn(move || own.watch());
        watchdog
    }

    fn new_thread(&self) -> Arc<Thread> {
        let thread = Arc::new(Thread {
            place: AtomicU64::new(0),
            runtime: Handle::try_current().ok(),
        });
        locked(&self.threads).push(Arc::downgrade(&thread));
        thread
    }

    fn watch(&self) {
        loop {
            std::thread::sleep(TICK);
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            let mut stuck = Vec::new();
            locked(&self.threads).retain(|thread| {
                let Some(thread) = thread.upgrade() else {
                    return false;
                };
                let place = thread.place.load(Ordering::Relaxed);
                if place == 0 {
                    return true;
                }
                let ticks = now.saturating_sub(place >> 32);
                if ticks > 0
                    && let Some(runtime) = &thread.runtime
                {
                    // Wakes another thread.
                    runtime.spawn(std::future::ready(()));
                }
                // Said once: at any later tick it has been there for longer.
                if ticks == PATIENCE {
                    stuck.push(place);
                }
                true
            });
            for place in stuck {
                let name = self.name(place);
                tracing::warn!(
                    plugin = name.as_deref(),
                    "a plugin has held a thread of the server for a second; its code must wait with \
                     `.await`, and leave long work to `spawn_blocking`"
                );
            }
        }
    }

    fn name(&self, place: u64) -> Option<Arc<str>> {
        let number = usize::try_from(place & u64::from(u32::MAX)).ok()?;
        locked(&self.names).get(number).cloned()
    }
}

// === impl Watched ===

impl Watched {
    pub(super) fn new(name: &Arc<str>) -> Self {
        let mut names = locked(&WATCHDOG.names);
        let number = names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| {
                names.push(Arc::clone(name));
                names.len() - 1
            });
        Self(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// From now on the thread is in code of this instance.
    pub(super) fn enter(self) -> Inside {
        let since = WATCHDOG.now.load(Ordering::Relaxed) << 32;
        let place = since | u64::from(self.0);
        // A thread that is ending has no place any more.
        let outside = HERE.try_with(|here| {
            let outside = here.place.load(Ordering::Relaxed);
            here.place.store(place, Ordering::Relaxed);
            outside
        });
        Inside {
            outside: outside.unwrap_or_default(),
        }
    }
}

// === impl Inside ===

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.place.store(self.outside, Ordering::Relaxed));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

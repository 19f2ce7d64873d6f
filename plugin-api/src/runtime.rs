//! The tokio runtime of a library.
//!
//! Every library links a tokio of its own, which knows nothing of the host's. So each image starts
//! one small runtime with its first instance and enters it round every poll and every drop; it
//! stops with the last instance of the image, and starts again with a later one. Code that is linked into the
//! host finds the host's runtime and needs none.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

static STATE: Mutex<State> = Mutex::new(State {
    instances: 0,
    runtime: None,
});

struct State {
    instances: usize,
    runtime: Option<Runtime>,
}

/// Counts one instance of the image; the last one to go stops the runtime.
#[derive(Debug)]
pub(crate) struct Instance(());

/// Calls with a tokio runtime at hand.
pub(crate) fn entered<T>(call: impl FnOnce() -> T) -> T {
    if Handle::try_current().is_ok() {
        return call();
    }
    let handle = handle();
    let guard: Option<EnterGuard<'_>> = handle.as_ref().map(Handle::enter);
    let called = call();
    drop(guard);
    called
}

thread_local! {
    // The generation, so that a thread does not keep entering a runtime that was stopped.
    static CACHED: std::cell::RefCell<Option<(usize, Handle)>> =
        const { std::cell::RefCell::new(None) };
}

static GENERATION: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

fn handle() -> Option<Handle> {
    use std::sync::atomic::Ordering;

    let generation = GENERATION.load(Ordering::Acquire);
    CACHED.with_borrow_mut(|cached| {
        match cached {
            Some((cached, handle)) if *cached == generation => return Some(handle.clone()),
            _ => {}
        }
        let handle = started()?;
        *cached = Some((generation, handle.clone()));
        Some(handle)
    })
}

fn started() -> Option<Handle> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    // Without an instance nobody would stop it.
    if state.runtime.is_none() && state.instances > 0 {
        // Out of threads: the call goes on without a runtime, and only what needs one fails.
        state.runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mortise-plugin")
            .enable_all()
            .build()
            .ok();
    }
    state
        .runtime
        .as_ref()
        .map(|runtime| runtime.handle().clone())
}

// === impl Instance ===

impl Instance {
    pub(crate) fn new() -> Self {
        STATE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .instances += 1;
        Self(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.instances -= 1;
        if state.instances == 0 {
            GENERATION.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
            if let Some(runtime) = state.runtime.take() {
                // Not `drop`: that would wait for blocking tasks, and panics inside a runtime.
                runtime.shutdown_background();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_runtime_as_long_as_there_is_an_instance() {
        let is_there = || entered(|| Handle::try_current().is_ok());
        assert!(!is_there());
        let instance = Instance::new();
        assert!(is_there());
        drop(instance);
        assert!(!is_there());
    }
}

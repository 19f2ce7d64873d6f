//! Runs that somebody watches: the host hears of it when the watcher goes.

use tokio::runtime::Handle;

use crate::host::Host;

/// Lets go of a run when it is dropped; see [`Host::abort_on_drop`] and [`Host::leave_on_drop`].
#[derive(Debug)]
#[must_use = "dropped at once, it lets go of the run at once"]
pub struct RunGuard {
    host: Host,
    run_id: String,
    farewell: Farewell,
    /// Asked for where there is one for sure; `None` once the guard is released.
    runtime: Option<Handle>,
}

#[derive(Debug, Clone, Copy)]
enum Farewell {
    Abort,
    Leave,
}

impl Host {
    /// Aborts a run when the guard is dropped before it is released: for handlers that are dropped
    /// when their client has gone.
    ///
    /// Called where the plugin's runtime is at hand, as it is in every async function.
    pub fn abort_on_drop(&self, run_id: impl Into<String>) -> RunGuard {
        self.guard(run_id.into(), Farewell::Abort)
    }

    /// [Leaves](Self::leave_run) a run when the guard is dropped before it is released: whether it
    /// goes on is for the server to say.
    pub fn leave_on_drop(&self, run_id: impl Into<String>) -> RunGuard {
        self.guard(run_id.into(), Farewell::Leave)
    }

    fn guard(&self, run_id: String, farewell: Farewell) -> RunGuard {
        RunGuard {
            host: self.clone(),
            run_id,
            farewell,
            runtime: Handle::try_current().ok(),
        }
    }
}

// === impl RunGuard ===

impl RunGuard {
    /// Only where it is wanted: otherwise the guard is released at once.
    pub fn only_if(mut self, is_wanted: bool) -> Self {
        if !is_wanted {
            self.release();
        }
        self
    }

    /// The run is over, or goes on by itself.
    pub fn release(&mut self) {
        self.runtime = None;
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let (host, run_id) = (self.host.clone(), std::mem::take(&mut self.run_id));
        let farewell = self.farewell;
        runtime.spawn(async move {
            let told = match farewell {
                Farewell::Abort => host.abort_run(&run_id).await.map(drop),
                Farewell::Leave => host.leave_run(&run_id).await,
            };
            if let Err(error) = told {
                tracing::warn!(run_id, %error, "the server was not told that a client has gone");
            }
        });
    }
}

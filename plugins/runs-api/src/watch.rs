//! Watching a run: until it ends or somebody has to decide, and what happens if nobody watches.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use tokio::runtime::Handle;

use crate::transcript::Transcript;
use crate::{Api, OnDisconnect};

/// Aborts a run when it is dropped before the run has been watched to its end: its client has gone.
pub(crate) struct Guard {
    host: Host,
    run_id: String,
    runtime: Option<Handle>,
}

// === impl Guard ===

impl Guard {
    pub(crate) fn new(api: &Api, run_id: &str) -> Self {
        let aborts = api.config.on_request_disconnect == OnDisconnect::Abort;
        Self {
            host: api.host.clone(),
            run_id: run_id.to_owned(),
            runtime: Handle::try_current().ok().filter(|_| aborts),
        }
    }

    /// The run is over, or goes on by itself.
    pub(crate) fn release(mut self) {
        self.runtime = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let (host, run_id) = (self.host.clone(), std::mem::take(&mut self.run_id));
            runtime.spawn(async move {
                if let Err(error) = host.abort_run(&run_id).await {
                    tracing::warn!(run_id, %error, "a run that nobody watches cannot be aborted");
                }
            });
        }
    }
}

impl Api {
    /// What a run says until it ends, or until somebody has to decide after event `from`.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        run_id: &str,
        from: Option<u64>,
    ) -> Result<Transcript> {
        let mut transcript = Transcript::default();
        let mut events = self.host.events(run_id, None);
        while let Some(event) = events.next().await {
            let event = event?;
            transcript.add(&event.event);
            let is_new = from.is_none_or(|from| event.seq > from);
            if transcript.end.is_some() || is_new && transcript.waiting().is_some() {
                break;
            }
        }
        Ok(transcript)
    }

    /// What a run has said up to now.
    pub(crate) async fn told(&self, run: &mortise_plugin_api::RunStatus) -> Result<Transcript> {
        let mut transcript = Transcript::default();
        let is_running = run.ended_at.is_none();
        if is_running && run.last_seq.is_none() {
            return Ok(transcript); // It has shown nothing, and may never: nobody streams it.
        }
        let mut events = self.host.events(run.run_id.as_str(), None);
        while let Some(event) = events.next().await {
            let event = event?;
            transcript.add(&event.event);
            if is_running && Some(event.seq) >= run.last_seq {
                break;
            }
        }
        Ok(transcript)
    }
}

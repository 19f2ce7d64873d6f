//! What every run shares, and how an event is shown.

use std::sync::Arc;

use mortise_plugin_api::{Error, Event, Result, Stage};

use super::access::{Place, RunAccess};
use super::active::{ActiveRun, ActiveRuns, Mode};
use super::agents::Agents;
use crate::clock::Clock;
use crate::config;
use crate::ids::Ids;
use crate::ledger::Ledger;
use crate::pipeline::{Pipeline, Processed};
use crate::plugin::capability::RunServices;
use crate::shutdown::Tasks;
use crate::store::Store;

/// What every run shares.
pub(crate) struct Engine {
    pub(crate) agents: Agents,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) limits: config::Runs,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) tasks: Tasks,
    pub(crate) active: ActiveRuns,
    pub(crate) ledger: Arc<Ledger>,
}

// === impl Engine ===

impl Engine {
    /// What a plugin may ask in this run.
    pub(crate) fn access(
        self: &Arc<Self>,
        run: &Arc<ActiveRun>,
        place: Place,
    ) -> Arc<dyn RunServices> {
        Arc::new(RunAccess::new(Arc::clone(self), Arc::clone(run), place))
    }

    /// Whether anybody sees the events of a run: its client, a hook, an observer.
    pub(crate) fn is_watched(&self, run: &ActiveRun) -> bool {
        run.mode == Mode::Stream
            || self.pipeline.has(Stage::Event)
            || self.pipeline.observers().want_events()
    }

    /// Shows an event: hooks may change it, it is appended to the log, observers are told.
    pub(crate) async fn emit(self: &Arc<Self>, run: &Arc<ActiveRun>, event: Event) -> Result<()> {
        // One writer at a time: numbers have no gaps, and what hooks hold back keeps its place.
        let mut held = run.emission.lock().await;
        if !self.pipeline.has(Stage::Event) {
            return self.append(run, event).await;
        }
        // Hooks may take their time.
        run.log.wake();
        let access = self.access(
            run,
            Place {
                in_event_stage: true,
                ..Place::default()
            },
        );
        match self.pipeline.process(&access, event, &mut held).await? {
            Processed::Show(events) => {
                for event in events {
                    self.append(run, event).await?;
                }
                Ok(())
            }
            Processed::Abort(reason) => {
                run.cancel.cancel();
                Err(Error::aborted(reason))
            }
        }
    }

    async fn append(self: &Arc<Self>, run: &Arc<ActiveRun>, event: Event) -> Result<()> {
        if run.mode == Mode::Stream {
            // Most events fit: growing costs more than the room.
            let mut json = Vec::with_capacity(256);
            serde_json::to_writer(&mut json, &event)?;
            if let Err(error) = run.log.append(json.into()).await {
                return Err(Error::internal(error.to_string()));
            }
            if run.log.turn_is_over() {
                run.log.wake();
                tokio::task::yield_now().await;
            }
        }
        let observers = self.pipeline.observers();
        if observers.wants(event.kind()) {
            let access = self.access(run, Place::default());
            observers.event(&access, &Arc::new(event));
        }
        Ok(())
    }
}

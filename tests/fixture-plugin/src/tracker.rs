//! Remembers the run that began last, also one whose events nobody watches.

use std::sync::{Arc, Mutex, PoisonError};

use mortise_plugin_api::prelude::*;

#[derive(Clone, Default)]
struct LastRun(Arc<Mutex<Option<String>>>);

// Before the event is shown, so that whoever has seen a run begin also finds it here.
struct Tracker {
    last: LastRun,
}

pub(crate) fn register(registrar: &mut Registrar) {
    let last = LastRun::default();
    let shown = last.clone();
    registrar.hook(Tracker { last }).mount(
        Mount::at_base().endpoint(
            Endpoint::get("/last-run", move |_| {
                let response = Response::json(&json!({ "runId": shown.get() }));
                async { response }
            })
            .public(),
        ),
    );
}

impl Hook for Tracker {
    fn info(&self) -> HookInfo {
        HookInfo::new("tracker")
            .on(Stage::Event)
            .events(&["RUN_STARTED"])
    }

    async fn event(&self, run: RunContext, _event: Event) -> Result<EventVerdict> {
        self.last.set(run.info().run_id.clone());
        Ok(EventVerdict::Keep)
    }
}

// === impl LastRun ===

impl LastRun {
    fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, run_id: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(run_id);
    }
}

//! Hook stages: which hooks a stage has, in the order of the configuration.
//!
//! `requests.rs` calls the stages of a request, `runs.rs` those of a run, `observers.rs` tells
//! whoever only watches.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::Stage;

use crate::plugin::capability::OfferedHook;

/// The hooks of all instances, by stage.
#[derive(Default)]
pub(crate) struct Pipeline {
    stages: HashMap<Stage, Vec<Arc<OfferedHook>>>,
}

// === impl Pipeline ===

impl Pipeline {
    pub(crate) fn new(hooks: Vec<OfferedHook>) -> Self {
        let mut stages: HashMap<Stage, Vec<Arc<OfferedHook>>> = HashMap::new();
        for hook in hooks {
            let hook = Arc::new(hook);
            for &stage in &hook.capability.info().stages {
                stages.entry(stage).or_default().push(Arc::clone(&hook));
            }
        }
        Self { stages }
    }

    /// The hooks of a stage, in order.
    pub(crate) fn at(&self, stage: Stage) -> &[Arc<OfferedHook>] {
        self.stages.get(&stage).map_or(&[], Vec::as_slice)
    }
}

//! The model: asks its script for a plan and has it played.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mortise_plugin_api::prelude::*;

use crate::plan::Step;
use crate::probe::Probe;
use crate::{Script, directive, marker, native, player};

pub(crate) struct ScriptedModel {
    script: Script,
    name: String,
    probe: Arc<Probe>,
    last_call: AtomicU64,
}

// === impl ScriptedModel ===

impl ScriptedModel {
    pub(crate) fn new(script: Script, name: String, probe: Arc<Probe>) -> Self {
        Self {
            script,
            name,
            probe,
            last_call: AtomicU64::new(0),
        }
    }
}

impl Model for ScriptedModel {
    fn info(&self) -> ModelInfo {
        let info = ModelInfo::new(self.name.as_str());
        if self.script != Script::Marker {
            return info;
        }
        let kinds = ["image", "audio", "video", "file"].into_iter();
        let taken = kinds.fold(ModelCapabilities::default(), ModelCapabilities::with_input);
        info.with_capabilities(taken)
    }

    async fn generate(&self, run: RunContext, request: ModelRequest) -> Result<ChunkStream> {
        let counted = self.probe.begin(&request);
        let plan = match self.script {
            Script::Native => native::plan(&request),
            Script::Directive => directive::plan(&request),
            Script::Marker => marker::plan(&request, &self.last_call),
        };
        // What fails before it says anything never becomes a stream.
        if let Some(Step::Fail(error)) = plan.steps.first() {
            counted.finish();
            return Err(error.clone());
        }
        Ok(player::play(plan, run, counted))
    }
}

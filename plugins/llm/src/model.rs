//! What the host sees: models by name.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ChunkStream, ModelRequest};

use crate::generate::generate;
use crate::target::Targets;

/// A model with a name, or those of a provider.
pub(crate) struct ProviderModel {
    info: ModelInfo,
    targets: Arc<Targets>,
}

// === impl ProviderModel ===

impl ProviderModel {
    pub(crate) fn new(info: ModelInfo, targets: Arc<Targets>) -> Self {
        Self { info, targets }
    }
}

impl Model for ProviderModel {
    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    async fn generate(&self, run: RunContext, request: ModelRequest) -> Result<ChunkStream> {
        generate(Arc::clone(&self.targets), run, request).await
    }
}

//! The model `panicky`.

use futures_util::{StreamExt, stream};
use mortise_plugin_api::prelude::*;

use crate::Config;
use crate::place::{Place, Spot};

pub(crate) struct Panicky {
    config: Config,
}

// === impl Panicky ===

impl Panicky {
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Model for Panicky {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("panicky")
    }

    async fn generate(&self, _run: RunContext, _request: ModelRequest) -> Result<ChunkStream> {
        let config = self.config;
        config.panic_at(Place::Model);
        let chunks = [
            Chunk::text("part"),
            Chunk::text(" whole"),
            Chunk::finish(FinishReason::Stop),
        ];
        let chunks = stream::iter(chunks.into_iter().enumerate());
        Ok(ChunkStream::new(chunks.then(
            move |(index, chunk)| async move {
                if index == 1 {
                    config.panic_at(Place::ModelStream);
                    config.hang_at(Spot::ModelStream).await;
                }
                Ok(chunk)
            },
        )))
    }
}

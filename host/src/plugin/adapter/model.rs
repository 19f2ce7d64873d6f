//! Models of libraries.

use std::sync::Arc;

use mortise_plugin_abi::ModelObject;
use mortise_plugin_api::ffi::{convert, stream};
use mortise_plugin_api::{ChunkStream, ModelInfo, ModelRequest, Result};

use super::kept;
use crate::plugin::capability::{BoxFuture, ModelCapability, RunServices};
use crate::plugin::error::LoadError;
use crate::plugin::instance::Instance;

pub(in crate::plugin) struct ModelAdapter {
    info: ModelInfo,
    object: ModelObject,
    instance: Arc<Instance>,
}

// === impl ModelAdapter ===

impl ModelAdapter {
    pub(in crate::plugin) fn new(
        object: ModelObject,
        instance: Arc<Instance>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            info: super::info(instance.name(), "a model", &object.info())?,
            object,
            instance,
        })
    }
}

impl ModelCapability for ModelAdapter {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn generate(
        &self,
        run: Arc<dyn RunServices>,
        request: &ModelRequest,
    ) -> BoxFuture<'static, Result<ChunkStream>> {
        self.instance.call(
            "model.generate",
            || {
                let request = convert::to_json(request)?;
                Ok(self.object.generate(self.instance.crossed(run), request))
            },
            |instance, chunks| Ok(kept::chunks(instance, stream::chunks_from_abi(chunks))),
        )
    }
}

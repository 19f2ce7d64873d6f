//! Models, from the author's trait to the one that crosses.

use std::sync::Arc;

use super::abi::stable::{RString, TD_Opaque};
use super::abi::{self, AbiBytes, AbiFuture, AbiResult, ChunkStreamObject, ModelObject, RunObject};
use super::guard::{self, Safe};
use super::{convert, stream};
use crate::backend::BoxFuture;
use crate::error::Result;
use crate::host::Host;
use crate::model::{ChunkStream, Model, ModelInfo, ModelRequest};
use crate::run::RunContext;

/// [`Model`], as an object.
pub(crate) trait DynModel: Send + Sync {
    fn info(&self) -> ModelInfo;
    fn generate(
        self: Arc<Self>,
        run: RunContext,
        request: ModelRequest,
    ) -> BoxFuture<'static, Result<ChunkStream>>;
}

impl<M: Model> DynModel for M {
    fn info(&self) -> ModelInfo {
        Model::info(self)
    }

    fn generate(
        self: Arc<Self>,
        run: RunContext,
        request: ModelRequest,
    ) -> BoxFuture<'static, Result<ChunkStream>> {
        Box::pin(async move { Model::generate(&*self, run, request).await })
    }
}

struct Adapter {
    model: Safe<Arc<dyn DynModel>>,
    host: Host,
}

pub(super) fn to_abi(model: Arc<dyn DynModel>, host: Host) -> ModelObject {
    abi::Model_TO::from_value(
        Adapter {
            model: Safe::new(model),
            host,
        },
        TD_Opaque,
    )
}

impl abi::Model for Adapter {
    fn info(&self) -> RString {
        super::plugin::info_text(|| self.model.info())
    }

    fn generate(
        &self,
        run: RunObject,
        request: AbiBytes,
    ) -> AbiFuture<AbiResult<ChunkStreamObject>> {
        let (model, host) = (Arc::clone(&self.model), self.host.clone());
        let generated = Box::pin(async move {
            let run = convert::run_from_abi(run, host);
            model.generate(run, convert::from_json(&request)?).await
        });
        guard::future(generated, |stream| Ok(stream::chunks_to_abi(stream)))
    }
}

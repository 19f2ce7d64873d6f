//! A run, as a plugin sees it.

use std::sync::Arc;

use mortise_plugin_abi::stable::{RArc, RStr, RString, TD_Opaque};
use mortise_plugin_abi::{
    self as abi, AbiBytes, AbiFuture, AbiResult, ChunkStreamObject, Event_NE, RunObject,
    RunServices_TO,
};
use mortise_plugin_api::ffi::{convert, guard};
use tokio::runtime::Handle;

use super::body::chunks_object;
use super::future::{answer, moment};
use crate::plugin::capability::RunServices;

struct RunBridge {
    run: Arc<dyn RunServices>,
    runtime: Handle,
}

pub(in crate::plugin) fn run_object(run: Arc<dyn RunServices>, runtime: &Handle) -> RunObject {
    let bridge = RunBridge {
        run,
        runtime: runtime.clone(),
    };
    RunServices_TO::from_ptr(RArc::new(bridge), TD_Opaque)
}

impl abi::RunServices for RunBridge {
    fn info(&self) -> RString {
        guard::guarded(|| convert::to_json_text(&*self.run.info()))
            .and_then(|text| text)
            .unwrap_or_default()
    }

    fn context(&self) -> RString {
        guard::guarded(|| convert::to_json_text(&self.run.context()))
            .and_then(|text| text)
            .unwrap_or_default()
    }

    fn emit(&self, event: Event_NE) -> AbiFuture<AbiResult<()>> {
        let run = Arc::clone(&self.run);
        answer(&self.runtime, async move {
            run.emit(convert::event_from_abi(event)?).await
        })
    }

    fn is_cancelled(&self) -> bool {
        guard::guarded(|| self.run.is_cancelled()).unwrap_or(true)
    }

    fn cancelled(&self) -> AbiFuture<()> {
        let run = Arc::clone(&self.run);
        moment(&self.runtime, async move { run.cancelled().await })
    }

    fn generate(
        &self,
        model: RStr<'_>,
        request: AbiBytes,
    ) -> AbiFuture<AbiResult<ChunkStreamObject>> {
        let (run, runtime) = (Arc::clone(&self.run), self.runtime.clone());
        let model = model.as_str().to_owned();
        answer(&self.runtime, async move {
            let chunks = run.generate(model, convert::from_json(&request)?).await?;
            Ok(chunks_object(chunks, &runtime))
        })
    }

    fn call(&self, service: RStr<'_>, request: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>> {
        let (run, service) = (Arc::clone(&self.run), service.as_str().to_owned());
        answer(&self.runtime, async move {
            let payload = convert::from_json(&request)?;
            convert::to_json(&run.call(service, payload).await?)
        })
    }
}

//! The host, as a plugin instance sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mortise_plugin_abi::stable::{RArc, RStr, TD_Opaque};
use mortise_plugin_abi::{
    self as abi, AbiBytes, AbiFuture, AbiResult, HostObject, HostServices, HostServices_TO,
};
use mortise_plugin_api::ffi::{convert, guard};
use mortise_plugin_api::{Error, MetricKind};
use tokio::runtime::Handle;

use super::future::{answer, moment};
use crate::clock::Clock;
use crate::metrics::Reported;
use crate::plugin::capability::HostApi;

/// Where the host's services are found once everything is built.
#[derive(Default)]
pub(crate) struct HostApiSlot(OnceLock<Arc<dyn HostApi>>);

/// What the host is for one instance.
#[derive(Clone)]
pub(in crate::plugin) struct HostBridge {
    pub(in crate::plugin) instance: Arc<str>,
    pub(in crate::plugin) api: Arc<HostApiSlot>,
    /// Whether `create` is over.
    pub(in crate::plugin) created: Arc<AtomicBool>,
    pub(in crate::plugin) clock: Clock,
    pub(in crate::plugin) runtime: Handle,
    pub(in crate::plugin) reported: Reported,
}

pub(in crate::plugin) fn host_object(bridge: HostBridge) -> HostObject {
    HostServices_TO::from_ptr(RArc::new(bridge), TD_Opaque)
}

// === impl HostApiSlot ===

impl HostApiSlot {
    /// Nothing yet: every service answers `UNAVAILABLE`.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on, these services answer. The first one stays.
    pub(crate) fn attach(&self, api: Arc<dyn HostApi>) {
        let _ = self.0.set(api);
    }
}

impl std::fmt::Debug for HostApiSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HostApiSlot")
            .field(&self.0.get().is_some())
            .finish()
    }
}

// === impl HostBridge ===

impl HostBridge {
    fn api(&self) -> Result<&Arc<dyn HostApi>, Error> {
        if !self.created.load(Ordering::Acquire) {
            return Err(Error::unavailable(
                "host services are not available during create; use them in start",
            ));
        }
        let api = self.api.0.get();
        api.ok_or_else(|| Error::unavailable("host services are not available yet"))
    }
}

impl HostServices for HostBridge {
    fn instance(&self) -> RStr<'_> {
        RStr::from_str(&self.instance)
    }

    fn now_millis(&self) -> u64 {
        guard::guarded(|| self.clock.now_millis()).unwrap_or_default()
    }

    fn sleep(&self, millis: u64) -> AbiFuture<()> {
        moment(&self.runtime, async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        })
    }

    fn metric(&self, kind: u8, name: RStr<'_>, value: f64, labels: RStr<'_>) {
        let kind = match kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Histogram,
            // Of a newer interface.
            _ => return,
        };
        let _contained = guard::guarded(|| {
            self.reported
                .report(kind, name.as_str(), value, labels.as_str());
        });
    }

    fn call(&self, service: RStr<'_>, request: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>> {
        let (own, service) = (self.clone(), service.as_str().to_owned());
        answer(&self.runtime, async move {
            let payload = convert::from_json(&request)?;
            let called = own.api()?.call(Arc::clone(&own.instance), service, payload);
            convert::to_json(&called.await?)
        })
    }

    fn take(&self, key: RStr<'_>, limit: abi::Limit, count: u32) -> AbiResult<abi::Taken> {
        guard::call(|| {
            let limit = convert::limit_from_abi(limit)?;
            let taken = self
                .api()?
                .take(&self.instance, key.as_str(), limit, count)?;
            Ok(convert::taken_to_abi(taken))
        })
    }
}

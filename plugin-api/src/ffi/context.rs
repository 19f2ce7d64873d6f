//! The host, runs and requests as this side sees them over the boundary.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use serde_json::Value;

use super::abi::stable::{FfiFuture, RStr};
use super::abi::{AbiBytes, AbiResult, HostObject, Request_TO, RequestObject, RunObject};
use super::{convert, labels, stream};
use crate::backend::{BoxFuture, HostBackend, RunBackend};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::limit::{Limit, Taken};
use crate::metric::{Metric, MetricKind};
use crate::model::{ChunkStream, ModelRequest};
use crate::principal::Principal;
use crate::request::{Request, RequestBackend};
use crate::run::RunInfo;
use crate::time::millis;

pub(crate) struct CrossedHost {
    pub(crate) object: HostObject,
    pub(crate) instance: String,
}

pub(crate) struct CrossedRun(pub(crate) RunObject);

pub(crate) struct CrossedRequest(pub(crate) RequestObject);

impl HostBackend for CrossedHost {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn now_millis(&self) -> u64 {
        self.object.now_millis()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.object.sleep(millis(duration)))
    }

    fn metric(&self, metric: Metric<'_>) {
        let kind = match metric.kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
        };
        let labels = labels::to_text(metric.labels);
        self.object.metric(
            kind,
            metric.name.into(),
            metric.value,
            labels.as_str().into(),
        );
    }

    fn call<'a>(&'a self, service: &'a str, payload: Value) -> BoxFuture<'a, Result<Value>> {
        service_call(payload, move |payload| {
            self.object.call(RStr::from_str(service), payload)
        })
    }

    fn take(&self, key: &str, limit: Limit, count: u32) -> Result<Taken> {
        let limit = convert::limit_to_abi(limit);
        let taken = self.object.take(RStr::from_str(key), limit, count);
        convert::result_from_abi(taken).map(convert::taken_from_abi)
    }

    fn hold(&self, request: &Request, key: &str, max: u32) -> Result<Taken> {
        let Some(CrossedRequest(request)) = request.as_crossed() else {
            return Err(Error::unavailable("this request is not the host's"));
        };
        let (scope, key) = (RStr::from_str(&self.instance), RStr::from_str(key));
        let taken = request.hold(scope, key, max);
        convert::result_from_abi(taken).map(convert::taken_from_abi)
    }
}

impl RunBackend for CrossedRun {
    fn info(&self) -> RunInfo {
        serde_json::from_str(&self.0.info()).unwrap_or_else(|error| {
            tracing::error!(%error, "what the host knows of a run cannot be read: it is nobody's");
            RunInfo {
                principal: Principal::unreadable("run"),
                ..RunInfo::default()
            }
        })
    }

    fn context(&self) -> Value {
        serde_json::from_str(&self.0.context()).unwrap_or_else(|error| {
            tracing::error!(%error, "the context of a run cannot be read: it is taken for none");
            Value::Null
        })
    }

    fn emit(&self, event: Event) -> BoxFuture<'_, Result<()>> {
        match convert::event_to_abi(event) {
            Ok(event) => {
                let emitted = self.0.emit(event);
                Box::pin(async move { convert::result_from_abi(emitted.await) })
            }
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn cancelled(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.cancelled())
    }

    fn generate<'a>(
        &'a self,
        model: &'a str,
        request: ModelRequest,
    ) -> BoxFuture<'a, Result<ChunkStream>> {
        Box::pin(async move {
            let request = convert::to_json(&request)?;
            let stream = self.0.generate(RStr::from_str(model), request).await;
            Ok(stream::chunks_from_abi(convert::result_from_abi(stream)?))
        })
    }

    fn call<'a>(&'a self, service: &'a str, payload: Value) -> BoxFuture<'a, Result<Value>> {
        service_call(payload, move |payload| {
            self.0.call(RStr::from_str(service), payload)
        })
    }
}

fn service_call<'a>(
    payload: Value,
    call: impl FnOnce(AbiBytes) -> FfiFuture<AbiResult<AbiBytes>> + Send + 'a,
) -> BoxFuture<'a, Result<Value>> {
    Box::pin(async move {
        let answer = call(convert::to_json(&payload)?).await;
        convert::from_json(&convert::result_from_abi(answer)?)
    })
}

impl Clone for CrossedRequest {
    fn clone(&self) -> Self {
        Self(Request_TO::from_sabi(self.0.obj.shallow_clone()))
    }
}

impl RequestBackend for CrossedRequest {
    fn id(&self) -> &str {
        self.0.id().as_str()
    }

    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.0.path().as_str()
    }

    fn query(&self) -> &str {
        self.0.query().as_str()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let value = self.0.header(RStr::from_str(name)).into_option()?;
        Some(value.as_slice())
    }

    fn headers(&self) -> Vec<(&str, &[u8])> {
        self.0
            .headers()
            .into_iter()
            .map(|header| (header.name.as_str(), header.value.as_slice()))
            .collect()
    }

    fn peer(&self) -> String {
        self.0.peer().into()
    }

    fn kind(&self) -> &str {
        self.0.kind().as_str()
    }

    fn agent(&self) -> Option<&str> {
        self.0.agent().into_option().map(|agent| agent.as_str())
    }

    fn mount(&self) -> Option<&str> {
        self.0.mount().into_option().map(|mount| mount.as_str())
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.0
            .param(RStr::from_str(name))
            .into_option()
            .map(|param| param.as_str())
    }

    fn principal(&self) -> Option<Principal> {
        let told = self.0.principal().into_option()?;
        Some(principal_of(&told, self.id()))
    }

    fn body(&self) -> &[u8] {
        self.0.body().as_slice()
    }

    fn client_ip(&self) -> Option<IpAddr> {
        let address = Ipv6Addr::from(self.0.client().octets);
        (!address.is_unspecified()).then(|| address.to_canonical())
    }
}

/// Who asks, as the host tells it. What cannot be read is nobody, and never an anonymous client: that
/// may own something.
fn principal_of(told: &str, request_id: &str) -> Principal {
    serde_json::from_str(told).unwrap_or_else(|error| {
        tracing::error!(%error, "who asks cannot be read: the request is nobody's");
        Principal::unreadable(request_id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_that_cannot_be_read_is_nobody_and_not_anonymous() {
        let ann = Principal::new("ann");
        let told = serde_json::to_string(&ann).unwrap();
        assert_eq!(principal_of(&told, "req_1"), ann);
        for told in ["", "{}", r#"{"tenant":"default"}"#, r#"{"subject":7}"#] {
            let nobody = principal_of(told, "req_1");
            assert!(!nobody.is_shared(), "{nobody:?}");
            assert_ne!(nobody, principal_of(told, "req_2"));
        }
    }
}

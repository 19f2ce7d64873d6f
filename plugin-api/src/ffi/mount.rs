//! Mounts, from the author's builder to the trait that crosses.

use std::sync::Arc;

use super::abi::stable::{RString, TD_Opaque};
use super::abi::{
    self, AbiBytes, AbiFuture, AbiResult, BodyObject, MountObject, RequestObject, Verdict_NE,
};
use super::guard::{self, Safe};
use super::{convert, stream};
use crate::endpoint::EndpointCall;
use crate::error::Error;
use crate::mount::Mount;
use crate::route_error::RouteError;

struct Adapter(Safe<Arc<Mount>>);

pub(super) fn to_abi(mount: Arc<Mount>) -> MountObject {
    abi::Mount_TO::from_value(Adapter(Safe::new(mount)), TD_Opaque)
}

impl abi::Mount for Adapter {
    fn info(&self) -> RString {
        super::plugin::info_text(|| self.0.info.clone())
    }

    fn authenticate(&self, request: RequestObject) -> AbiFuture<AbiResult<Verdict_NE>> {
        let mount = Arc::clone(&self.0);
        let verdict = Box::pin(async move {
            let Some(authenticate) = &mount.authenticate else {
                return Err(Error::internal("the mount does not authenticate"));
            };
            authenticate(convert::request_from_abi(request)).await
        });
        guard::future(verdict, convert::verdict_to_abi)
    }

    fn render_error(&self, error: AbiBytes) -> AbiResult<abi::Response> {
        guard::call(|| {
            let error: RouteError = convert::from_json(&error)?;
            let Some(render) = &self.0.render_error else {
                return Err(Error::internal("the mount does not render errors"));
            };
            Ok(convert::response_to_abi(render(&error)))
        })
    }

    fn handle(
        &self,
        endpoint: usize,
        request: RequestObject,
        body: BodyObject,
    ) -> AbiFuture<AbiResult<abi::Response>> {
        let mount = Arc::clone(&self.0);
        let handled = Box::pin(async move {
            let endpoint = mount
                .endpoints
                .get(endpoint)
                .ok_or_else(|| Error::internal("the mount has no such endpoint"))?;
            let request = convert::request_from_abi(request);
            let call = EndpointCall::new(request, stream::body_from_abi(body));
            (endpoint.handle)(call).await
        });
        guard::future(handled, |response| Ok(convert::response_to_abi(response)))
    }
}

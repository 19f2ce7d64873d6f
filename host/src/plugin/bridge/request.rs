//! A request, as a plugin sees it.

use std::net::IpAddr;
use std::sync::Arc;

use mortise_plugin_abi::stable::{RArc, ROption, RSlice, RStr, RString, RVec, TD_Opaque};
use mortise_plugin_abi::{self as abi, AbiResult, Address, HeaderView, Request_TO, RequestObject};
use mortise_plugin_api::ffi::{convert, guard};

use crate::plugin::request::{RequestData, RequestView};

struct RequestBridge(Arc<RequestData>);

/// The request as it crosses, made once for all that ask.
pub(in crate::plugin) fn request_object(request: &RequestView) -> &RequestObject {
    request.crossed(|data| {
        let bridge = RequestBridge(Arc::clone(data));
        Request_TO::from_ptr(RArc::new(bridge), TD_Opaque)
    })
}

/// The same object once more, to give away.
pub(in crate::plugin) fn shared_request_object(request: &RequestView) -> RequestObject {
    Request_TO::from_sabi(request_object(request).obj.shallow_clone())
}

fn text(text: Option<&str>) -> ROption<RStr<'_>> {
    text.map(RStr::from_str).into()
}

impl abi::Request for RequestBridge {
    fn id(&self) -> RStr<'_> {
        RStr::from_str(&self.0.id)
    }

    fn method(&self) -> RStr<'_> {
        RStr::from_str(self.0.method.as_str())
    }

    fn path(&self) -> RStr<'_> {
        RStr::from_str(self.0.uri.path())
    }

    fn query(&self) -> RStr<'_> {
        RStr::from_str(self.0.uri.query().unwrap_or_default())
    }

    fn header(&self, name: RStr<'_>) -> ROption<RSlice<'_, u8>> {
        let found = guard::guarded(|| self.0.headers.get(name.as_str()));
        let value = found.ok().flatten();
        value
            .map(|value| RSlice::from_slice(value.as_bytes()))
            .into()
    }

    fn headers(&self) -> RVec<HeaderView<'_>> {
        let all = guard::guarded(|| {
            let headers = self.0.headers.iter();
            headers
                .map(|(name, value)| HeaderView {
                    name: RStr::from_str(name.as_str()),
                    value: RSlice::from_slice(value.as_bytes()),
                })
                .collect()
        });
        all.unwrap_or_default()
    }

    fn peer(&self) -> RString {
        self.0.peer.to_string().into()
    }

    fn kind(&self) -> RStr<'_> {
        RStr::from_str(self.0.kind.as_str())
    }

    fn agent(&self) -> ROption<RStr<'_>> {
        text(self.0.agent.as_deref())
    }

    fn mount(&self) -> ROption<RStr<'_>> {
        text(self.0.mount.as_deref())
    }

    fn param(&self, name: RStr<'_>) -> ROption<RStr<'_>> {
        let found = self.0.params.iter().find(|(own, _)| own == name.as_str());
        text(found.map(|(_, value)| value.as_str()))
    }

    fn principal(&self) -> ROption<RString> {
        let known = guard::guarded(|| {
            let principal = self.0.principal()?;
            convert::to_json_text(&*principal).ok()
        });
        known.ok().flatten().into()
    }

    fn body(&self) -> RSlice<'_, u8> {
        RSlice::from_slice(&self.0.body)
    }

    fn client(&self) -> Address {
        let address = match self.0.client_ip {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Address {
            octets: address.octets(),
        }
    }

    fn hold(&self, scope: RStr<'_>, key: RStr<'_>, max: u32) -> AbiResult<abi::Taken> {
        guard::call(|| {
            let taken = self.0.places.hold(scope.as_str(), key.as_str(), max)?;
            Ok(convert::taken_to_abi(taken))
        })
    }
}

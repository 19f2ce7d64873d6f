//! A request, as a plugin sees it.

use std::net::IpAddr;

use mortise_plugin_abi::stable::{ROption, RSlice, RStr, RString, RVec};
use mortise_plugin_abi::{self as abi, AbiResult, Address, HeaderView};
use mortise_plugin_api::ffi::{convert, guard};

use crate::plugin::request::RequestData;

fn text(text: Option<&str>) -> ROption<RStr<'_>> {
    text.map(RStr::from_str).into()
}

impl abi::Request for RequestData {
    fn id(&self) -> RStr<'_> {
        RStr::from_str(&self.id)
    }

    fn method(&self) -> RStr<'_> {
        RStr::from_str(self.method.as_str())
    }

    fn path(&self) -> RStr<'_> {
        RStr::from_str(self.uri.path())
    }

    fn query(&self) -> RStr<'_> {
        RStr::from_str(self.uri.query().unwrap_or_default())
    }

    fn header(&self, name: RStr<'_>) -> ROption<RSlice<'_, u8>> {
        let found = guard::guarded(|| self.headers.get(name.as_str()));
        let value = found.ok().flatten();
        value
            .map(|value| RSlice::from_slice(value.as_bytes()))
            .into()
    }

    fn headers(&self) -> RVec<HeaderView<'_>> {
        let all = guard::guarded(|| {
            let headers = self.headers.iter();
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
        self.peer.to_string().into()
    }

    fn kind(&self) -> RStr<'_> {
        RStr::from_str(self.kind.as_str())
    }

    fn agent(&self) -> ROption<RStr<'_>> {
        text(self.agent.as_deref())
    }

    fn mount(&self) -> ROption<RStr<'_>> {
        text(self.mount.as_deref())
    }

    fn param(&self, name: RStr<'_>) -> ROption<RStr<'_>> {
        let found = self.params.iter().find(|(own, _)| own == name.as_str());
        text(found.map(|(_, value)| value.as_str()))
    }

    fn principal(&self) -> ROption<RString> {
        let known = guard::guarded(|| {
            let principal = self.principal()?;
            convert::to_json_text(&*principal).ok()
        });
        known.ok().flatten().into()
    }

    fn body(&self) -> RSlice<'_, u8> {
        RSlice::from_slice(&self.body)
    }

    fn client(&self) -> Address {
        let address = match self.client_ip {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Address {
            octets: address.octets(),
        }
    }

    fn hold(&self, scope: RStr<'_>, key: RStr<'_>, max: u32) -> AbiResult<abi::Taken> {
        guard::call(|| {
            let taken = self.places.hold(scope.as_str(), key.as_str(), max)?;
            Ok(convert::taken_to_abi(taken))
        })
    }
}

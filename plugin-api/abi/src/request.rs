//! Requests as guards and endpoints see them, bodies, and responses.

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::std_types::{RArc, RBox, ROption, RResult, RSlice, RStr, RString, RVec};
use async_ffi::{FfiContext, FfiPoll};

use crate::{AbiBytes, AbiError, AbiResult, Taken};

pub type RequestObject = Request_TO<'static, RArc<()>>;
pub type BodyObject = Body_TO<'static, RBox<()>>;

/// A borrowed header.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HeaderView<'a> {
    pub name: RStr<'a>,
    pub value: RSlice<'a, u8>,
}

/// A header of a response.
#[repr(C)]
#[derive(StableAbi)]
pub struct Header {
    pub name: RString,
    pub value: AbiBytes,
}

/// A response: `stream` where there is one, else `full`.
#[repr(C)]
#[derive(StableAbi)]
pub struct Response {
    pub status: u16,
    pub headers: RVec<Header>,
    pub full: AbiBytes,
    pub stream: ROption<BodyObject>,
}

/// An address, as IPv6 writes it: IPv4 is mapped, and all zeros say that it is not known.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub octets: [u8; 16],
}

/// What is known of a request; asked for field by field, so that it can grow.
#[sabi_trait]
pub trait Request: Send + Sync {
    fn id(&self) -> RStr<'_>;
    fn method(&self) -> RStr<'_>;
    fn path(&self) -> RStr<'_>;
    /// The query text without `?`, empty where there is none.
    fn query(&self) -> RStr<'_>;
    fn header(&self, name: RStr<'_>) -> ROption<RSlice<'_, u8>>;
    fn headers(&self) -> RVec<HeaderView<'_>>;
    /// The socket address of the peer.
    fn peer(&self) -> RString;
    /// `run`, `stream`, `load_conversation`, …, `endpoint`, `built_in`.
    fn kind(&self) -> RStr<'_>;
    fn agent(&self) -> ROption<RStr<'_>>;
    /// The instance name of the plugin whose mount was matched.
    fn mount(&self) -> ROption<RStr<'_>>;
    fn param(&self, name: RStr<'_>) -> ROption<RStr<'_>>;
    /// The principal as JSON, once it is known.
    fn principal(&self) -> ROption<RString>;
    /// The buffered JSON body of native routes, else empty.
    #[sabi(last_prefix_field)]
    fn body(&self) -> RSlice<'_, u8>;
    /// The client's address, which is not the peer's behind a trusted proxy.
    fn client(&self) -> Address {
        Address { octets: [0; 16] }
    }
    /// Takes one of `max` places of a key in a scope, until the response to this request was sent
    /// or its client has gone.
    fn hold(&self, scope: RStr<'_>, key: RStr<'_>, max: u32) -> AbiResult<Taken> {
        let _ = (scope, key, max);
        RResult::RErr(AbiError::unavailable("this host keeps no places"))
    }
}

/// A body, pulled chunk by chunk; dropping it cancels what makes it.
#[sabi_trait]
pub trait Body: Send {
    #[sabi(last_prefix_field)]
    fn poll_chunk(&mut self, context: &mut FfiContext<'_>)
    -> FfiPoll<ROption<AbiResult<AbiBytes>>>;
}

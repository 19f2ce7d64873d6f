//! A request as guards and endpoints see it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use mortise_plugin_abi::stable::{RArc, TD_Opaque};
use mortise_plugin_abi::{Request_TO, RequestObject};
use mortise_plugin_api::{Principal, RequestKind};

use crate::ledger::Places;

/// A request; the principal becomes known while guards run.
///
/// Reads like the [`RequestParts`] that it is made of.
pub(crate) struct RequestView {
    data: RArc<RequestData>,
    /// The form in which it crosses. It holds the data, so it must not be among the data.
    crossed: RequestObject,
}

/// What is known of a request.
pub(crate) struct RequestData {
    parts: RequestParts,
    principal: RwLock<Option<Arc<Principal>>>,
}

/// What a request is made of.
pub(crate) struct RequestParts {
    pub(crate) id: Arc<str>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: SocketAddr,
    /// The client's address, which is the peer's unless a trusted proxy says otherwise.
    pub(crate) client_ip: IpAddr,
    pub(crate) kind: RequestKind,
    pub(crate) agent: Option<String>,
    /// The instance whose mount was matched.
    pub(crate) mount: Option<Arc<str>>,
    pub(crate) params: Vec<(String, String)>,
    /// The buffered JSON body of native routes, else empty.
    pub(crate) body: Bytes,
    pub(crate) places: Places,
}

// === impl RequestView ===

impl RequestView {
    pub(crate) fn new(parts: RequestParts) -> Arc<Self> {
        let data = RArc::new(RequestData {
            parts,
            principal: RwLock::new(None),
        });
        Arc::new(Self {
            crossed: Request_TO::from_ptr(RArc::clone(&data), TD_Opaque),
            data,
        })
    }

    /// The request as it crosses.
    pub(super) fn crossed(&self) -> &RequestObject {
        &self.crossed
    }

    /// The same once more, to give away.
    pub(super) fn shared(&self) -> RequestObject {
        Request_TO::from_sabi(self.crossed.obj.shallow_clone())
    }
}

impl Deref for RequestView {
    type Target = RequestData;

    fn deref(&self) -> &RequestData {
        &self.data
    }
}

impl Deref for RequestData {
    type Target = RequestParts;

    fn deref(&self) -> &RequestParts {
        &self.parts
    }
}

// === impl RequestData ===

impl RequestData {
    /// Who is asking, once that is known.
    pub(crate) fn principal(&self) -> Option<Arc<Principal>> {
        self.principal
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_principal(&self, principal: impl Into<Arc<Principal>>) {
        let mut known = self
            .principal
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(principal.into());
    }
}

//! A request as guards and endpoints see it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use mortise_plugin_abi::RequestObject;
use mortise_plugin_api::{Principal, RequestKind};

use crate::ledger::Places;

/// A request; the principal becomes known while guards run.
///
/// Reads like the [`RequestData`] it is over.
pub(crate) struct RequestView {
    data: Arc<RequestData>,
    /// The form in which it crosses, made once for all guards. It holds the data, so it must not
    /// be among the data.
    crossed: OnceLock<RequestObject>,
}

/// What is known of a request.
pub(crate) struct RequestData {
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
    principal: RwLock<Option<Arc<Principal>>>,
}

/// What a request is made of.
pub(crate) struct RequestParts {
    pub(crate) id: Arc<str>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: SocketAddr,
    pub(crate) client_ip: IpAddr,
    pub(crate) kind: RequestKind,
    pub(crate) agent: Option<String>,
    pub(crate) mount: Option<Arc<str>>,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) places: Places,
}

// === impl RequestView ===

impl RequestView {
    pub(crate) fn new(parts: RequestParts) -> Arc<Self> {
        let RequestParts {
            id,
            method,
            uri,
            headers,
            peer,
            client_ip,
            kind,
            agent,
            mount,
            params,
            body,
            places,
        } = parts;
        let data = Arc::new(RequestData {
            id,
            method,
            uri,
            headers,
            peer,
            client_ip,
            kind,
            agent,
            mount,
            params,
            body,
            places,
            principal: RwLock::new(None),
        });
        Arc::new(Self {
            data,
            crossed: OnceLock::new(),
        })
    }

    pub(super) fn crossed(
        &self,
        cross: impl FnOnce(&Arc<RequestData>) -> RequestObject,
    ) -> &RequestObject {
        self.crossed.get_or_init(|| cross(&self.data))
    }
}

impl Deref for RequestView {
    type Target = RequestData;

    fn deref(&self) -> &RequestData {
        &self.data
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

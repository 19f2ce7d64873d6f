//! Requests that were never sent.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::body::Body;
use crate::principal::Principal;
use crate::request::{Request, RequestBackend, RequestKind};

/// A request for tests: an endpoint's, unless [`with_kind`](Self::with_kind) says otherwise.
#[derive(Debug, Clone)]
pub struct FakeRequest {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    peer: String,
    client_ip: Option<IpAddr>,
    kind: RequestKind,
    agent: Option<String>,
    mount: Option<String>,
    params: Vec<(String, String)>,
    principal: Option<Principal>,
}

// === impl FakeRequest ===

impl FakeRequest {
    /// A request of this method for this path, with its query if it has one.
    pub fn new(method: impl Into<String>, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            method: method.into().to_ascii_uppercase(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            peer: "127.0.0.1:50000".to_owned(),
            client_ip: None,
            kind: RequestKind::Endpoint,
            agent: None,
            mount: None,
            params: Vec::new(),
            principal: None,
        }
    }

    /// A GET request.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST request.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// A request for a run of this agent, as native clients send it.
    pub fn run(agent: &str) -> Self {
        Self::post(&format!("/{agent}/run"))
            .with_kind(RequestKind::Run)
            .with_agent(agent)
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// These bytes as the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A JSON body, with its content type.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    #[must_use]
    pub fn with_json(self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).expect("the body of a fake request is JSON");
        self.with_header("content-type", "application/json")
            .with_body(bytes)
    }

    /// Who is asking.
    #[must_use]
    pub fn with_principal(mut self, principal: Principal) -> Self {
        self.principal = Some(principal);
        self
    }

    /// What the request wants of the host.
    #[must_use]
    pub fn with_kind(mut self, kind: RequestKind) -> Self {
        self.kind = kind;
        self
    }

    /// The agent it names.
    #[must_use]
    pub fn with_agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// The instance whose mount it goes to.
    #[must_use]
    pub fn with_mount(mut self, instance: impl Into<String>) -> Self {
        self.mount = Some(instance.into());
        self
    }

    /// Adds a path parameter; [`Loaded::call_endpoint`](super::Loaded::call_endpoint) adds those
    /// of the route by itself.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// The address and port of the peer.
    #[must_use]
    pub fn with_peer(mut self, peer: impl Into<String>) -> Self {
        self.peer = peer.into();
        self
    }

    /// The client's address, where it is not the peer's.
    #[must_use]
    pub fn with_client_ip(mut self, address: impl Into<IpAddr>) -> Self {
        self.client_ip = Some(address.into());
        self
    }

    /// The request as a plugin sees it.
    pub fn request(self) -> Request {
        Request::new(std::sync::Arc::new(self))
    }

    pub(super) fn method_text(&self) -> &str {
        &self.method
    }

    pub(super) fn path_text(&self) -> &str {
        &self.path
    }

    pub(super) fn to_body(&self) -> Body {
        Body::full(self.body.clone())
    }
}

impl RequestBackend for FakeRequest {
    fn id(&self) -> &'static str {
        "req_1"
    }

    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> &str {
        &self.query
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    fn headers(&self) -> Vec<(&str, &[u8])> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect()
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }

    fn client_ip(&self) -> Option<IpAddr> {
        let peer = || self.peer.parse::<SocketAddr>().ok().map(|peer| peer.ip());
        let address = self.client_ip.or_else(peer)?;
        Some(address.to_canonical())
    }

    fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    fn mount(&self) -> Option<&str> {
        self.mount.as_deref()
    }

    fn param(&self, name: &str) -> Option<&str> {
        let (_, value) = self.params.iter().find(|(own, _)| own == name)?;
        Some(value)
    }

    fn principal(&self) -> Option<Principal> {
        self.principal.clone()
    }

    fn body(&self) -> &[u8] {
        // Only native routes buffer their body before guards see it.
        match self.kind {
            RequestKind::Endpoint | RequestKind::BuiltIn => &[],
            _ => &self.body,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::endpoint::EndpointCall;

    #[tokio::test]
    async fn what_was_asked_is_still_there_when_the_body_was_read() {
        let call = || {
            let request = FakeRequest::post("/books/7")
                .with_param("id", "7")
                .with_json(&json!({ "pages": 3 }));
            let body = request.to_body();
            EndpointCall::new(request.request(), body)
        };
        let mut read = call();
        assert_eq!(
            read.json::<serde_json::Value>().await,
            Ok(json!({ "pages": 3 }))
        );
        assert_eq!(read.param("id"), "7");
        let mut read = call();
        assert_eq!(read.content("json").await, Ok(json!({ "pages": 3 })));
        assert_eq!(read.param("id"), "7");
    }
}

//! HTTP requests as guards and endpoints see them, and the responses they give.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::ffi::CrossedRequest;

/// Who is asking. Two principals are the same when tenant and subject are, whoever set them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Principal {
    /// The organisation.
    pub tenant: String,
    /// The user or machine in it.
    pub subject: String,
    /// What it may do, such as `runs:approve`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What else the credential says.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

/// A request, as far as it is known when a hook or an endpoint sees it. Cheap to clone.
#[derive(Clone)]
pub struct Request {
    inner: RequestInner,
}

/// A request that crossed needs no allocation: there is one for every guard of every request.
#[derive(Clone)]
enum RequestInner {
    Crossed(CrossedRequest),
    Other(Arc<dyn RequestBackend>),
}

/// What answers for a request: the host over the boundary, or a fake one.
pub(crate) trait RequestBackend: Send + Sync {
    fn id(&self) -> &str;
    fn method(&self) -> &str;
    fn path(&self) -> &str;
    fn query(&self) -> &str;
    fn header(&self, name: &str) -> Option<&[u8]>;
    fn headers(&self) -> Vec<(&str, &[u8])>;
    fn peer(&self) -> String;
    fn kind(&self) -> &str;
    fn agent(&self) -> Option<&str>;
    fn mount(&self) -> Option<&str>;
    fn param(&self, name: &str) -> Option<&str>;
    fn principal(&self) -> Option<Principal>;
    fn body(&self) -> &[u8];
    fn client_ip(&self) -> Option<IpAddr>;
}

/// What a request wants of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestKind {
    /// A run, answered as JSON.
    Run,
    /// A run, answered as a stream.
    Stream,
    /// A stored conversation.
    LoadConversation,
    /// The events of a run.
    ResumeStream,
    /// The events of a conversation's active run.
    ResumeConversation,
    /// The abort of a run.
    AbortRun,
    /// The result of a client tool.
    ToolResult,
    /// A decision on an approval.
    ToolApproval,
    /// A plugin's endpoint.
    Endpoint,
    /// Another route of the host.
    BuiltIn,
}

/// The body of a request or a response, pulled chunk by chunk.
pub struct Body {
    inner: BodyInner,
}

enum BodyInner {
    Full(Option<Bytes>),
    // Never locked: it makes a body `Sync`, so that a handler may lend its call to another
    // function.
    Stream(Mutex<Chunks>),
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// A response: status, headers, and a body that is whole or streamed.
#[derive(Debug)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Bytes)>,
    pub(crate) body: Body,
}

/// Where a streaming response is written to.
#[derive(Debug, Clone)]
pub struct BodyWriter {
    sender: tokio::sync::mpsc::Sender<Bytes>,
}

// === impl Principal ===

impl Principal {
    /// The tenant where nothing else is said.
    pub const DEFAULT_TENANT: &'static str = "default";

    /// A principal of the default tenant.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            ..Self::default()
        }
    }

    /// Nobody in particular: no credential was asked for.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Whoever holds the server's secret.
    pub fn operator() -> Self {
        Self::new("operator")
    }

    /// The same subject in another tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Adds a scope.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Whether this is nobody in particular: no credential was asked for, or one that all share.
    pub fn is_shared(&self) -> bool {
        *self == Self::anonymous() || *self == Self::operator()
    }

    /// As whom something new begins: under a credential that all share, the user whom the body
    /// names; a credential of one's own is never overridden.
    #[must_use]
    pub fn or_user(self, user: Option<String>) -> Self {
        match user.filter(|user| self.is_shared() && !user.trim().is_empty()) {
            Some(user) => Self::new(user),
            None => self,
        }
    }

    /// As whom it acts on what belongs to an owner: whoever shares a credential acts as the owner.
    #[must_use]
    pub fn acting_for(self, owner: &Self) -> Self {
        if self.is_shared() {
            owner.clone()
        } else {
            self
        }
    }

    /// Whether it has this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}

impl Default for Principal {
    fn default() -> Self {
        Self {
            tenant: Self::DEFAULT_TENANT.into(),
            subject: "anonymous".into(),
            scopes: Vec::new(),
            claims: Map::new(),
        }
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.subject == other.subject
    }
}

impl Eq for Principal {}

// === impl Request ===

impl Request {
    #[cfg_attr(
        not(feature = "testing"),
        expect(dead_code, reason = "made by the fake host")
    )]
    pub(crate) fn new(backend: Arc<dyn RequestBackend>) -> Self {
        Self {
            inner: RequestInner::Other(backend),
        }
    }

    pub(crate) fn crossed(request: CrossedRequest) -> Self {
        Self {
            inner: RequestInner::Crossed(request),
        }
    }

    pub(crate) fn as_crossed(&self) -> Option<&CrossedRequest> {
        match &self.inner {
            RequestInner::Crossed(request) => Some(request),
            RequestInner::Other(_) => None,
        }
    }

    fn backend(&self) -> &dyn RequestBackend {
        match &self.inner {
            RequestInner::Crossed(request) => request,
            RequestInner::Other(backend) => &**backend,
        }
    }

    /// The request id, also on the response and in every log line.
    pub fn id(&self) -> &str {
        self.backend().id()
    }

    /// The method in upper case.
    pub fn method(&self) -> &str {
        self.backend().method()
    }

    /// The path as it was sent.
    pub fn path(&self) -> &str {
        self.backend().path()
    }

    /// The query without `?`, empty where there is none.
    pub fn query(&self) -> &str {
        self.backend().query()
    }

    /// The first value of a query parameter, decoded.
    pub fn query_param(&self, name: &str) -> Option<String> {
        let mut pairs = form_pairs(self.query());
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All query parameters in order, decoded.
    pub fn query_params(&self) -> Vec<(String, String)> {
        form_pairs(self.query()).collect()
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header_bytes(name)?).ok()
    }

    /// The first value of a header.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.backend().header(name)
    }

    /// What stands behind `Bearer ` in the only `authorization` header; `None` where there is
    /// another number of them.
    pub fn bearer(&self) -> Option<&[u8]> {
        let headers = self.headers();
        let mut values = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let (Some((_, value)), None) = (values.next(), values.next()) else {
            return None;
        };
        value.strip_prefix(b"Bearer ")
    }

    /// All headers, in the order in which they came.
    pub fn headers(&self) -> Vec<(&str, &[u8])> {
        self.backend().headers()
    }

    /// The address and port of the peer, which may be a proxy.
    pub fn peer(&self) -> String {
        self.backend().peer()
    }

    /// The client's address: the peer's, or what a proxy says that the operator trusts. Never an
    /// IPv4 address in its IPv6 form. `None` where the host does not tell.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.backend().client_ip()
    }

    /// What the request wants of the host.
    pub fn kind(&self) -> RequestKind {
        RequestKind::from_name(self.backend().kind())
    }

    /// The agent it names.
    pub fn agent(&self) -> Option<&str> {
        self.backend().agent()
    }

    /// The instance whose mount it goes to.
    pub fn mount(&self) -> Option<&str> {
        self.backend().mount()
    }

    /// A path parameter of an endpoint, as it was sent.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.backend().param(name)
    }

    /// A path parameter of an endpoint, decoded.
    pub fn decoded_param(&self, name: &str) -> Option<String> {
        Some(decode(self.param(name)?, b'+'))
    }

    /// Who is asking, once that is known.
    pub fn principal(&self) -> Option<Principal> {
        self.backend().principal()
    }

    /// The body of a native route: a JSON object, `{}` where the client sent no valid one.
    pub fn json_body(&self) -> Value {
        serde_json::from_slice(self.backend().body()).unwrap_or_else(|_| Value::Object(Map::new()))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id())
            .field("method", &self.method())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

// === impl RequestKind ===

impl RequestKind {
    /// The name in configuration, logs and on the boundary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Stream => "stream",
            Self::LoadConversation => "load_conversation",
            Self::ResumeStream => "resume_stream",
            Self::ResumeConversation => "resume_conversation",
            Self::AbortRun => "abort_run",
            Self::ToolResult => "tool_result",
            Self::ToolApproval => "tool_approval",
            Self::Endpoint => "endpoint",
            Self::BuiltIn => "built_in",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "run" => Self::Run,
            "stream" => Self::Stream,
            "load_conversation" => Self::LoadConversation,
            "resume_stream" => Self::ResumeStream,
            "resume_conversation" => Self::ResumeConversation,
            "abort_run" => Self::AbortRun,
            "tool_result" => Self::ToolResult,
            "tool_approval" => Self::ToolApproval,
            "endpoint" => Self::Endpoint,
            _ => Self::BuiltIn,
        }
    }
}

// === impl Body ===

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self {
            inner: BodyInner::Full(None),
        }
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            inner: BodyInner::Full(Some(bytes.into())),
        }
    }

    /// Chunks as they come.
    pub fn from_stream(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self {
            inner: BodyInner::Stream(Mutex::new(Box::pin(stream))),
        }
    }

    /// The next chunk, `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// All of it, at most `limit` bytes.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` past the limit, and whatever reading fails with.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if all.len() + chunk.len() > limit {
                return Err(Error::new(
                    "PAYLOAD_TOO_LARGE",
                    format!("the body is larger than {limit} bytes"),
                ));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// All of it as JSON, at most 1 MiB.
    ///
    /// # Errors
    /// `BAD_REQUEST` when it is no valid JSON or does not fit `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes(1024 * 1024).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::bad_request(format!("the body is not what is expected: {error}"))
        })
    }

    /// All of it as text, at most 1 MiB.
    ///
    /// # Errors
    /// `BAD_REQUEST` when it is no UTF-8.
    pub async fn text(self) -> Result<String> {
        let bytes = self.bytes(1024 * 1024).await?;
        String::from_utf8(bytes.into())
            .map_err(|error| Error::bad_request(format!("the body is no text: {error}")))
    }

    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        match &mut self.inner {
            BodyInner::Full(bytes) => Poll::Ready(bytes.take().map(Ok)),
            BodyInner::Stream(stream) => {
                let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
                stream.as_mut().poll_next(context)
            }
        }
    }

    /// The bytes, if the body is whole.
    pub(crate) fn into_full(self) -> Result<Bytes, Self> {
        match self.inner {
            BodyInner::Full(bytes) => Ok(bytes.unwrap_or_default()),
            BodyInner::Stream(_) => Err(self),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.inner {
            BodyInner::Full(_) => "Body::Full",
            BodyInner::Stream(_) => "Body::Stream",
        })
    }
}

// === impl Response ===

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::empty(),
        }
    }

    /// 200 with a JSON body.
    ///
    /// # Errors
    /// When the value cannot be written as JSON (a map whose keys are no strings).
    pub fn json(value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value)?;
        Ok(Self::new(200)
            .with_header("content-type", "application/json")
            .with_body(bytes))
    }

    /// 200 with a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200)
            .with_header("content-type", "text/plain; charset=utf-8")
            .with_body(text.into())
    }

    /// 200 with a body that `write` writes bit by bit; it is dropped when the client has gone.
    ///
    /// ```
    /// use mortise_plugin_api::prelude::*;
    ///
    /// fn countdown() -> Response {
    ///     Response::stream("text/plain", |writer| async move {
    ///         for number in (0..3).rev() {
    ///             writer.write(format!("{number}\n")).await?;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn stream<W, F>(content_type: &str, write: W) -> Self
    where
        W: FnOnce(BodyWriter) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        // One chunk may wait while the next is written: the reader sets the pace.
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let writing = write(BodyWriter { sender });
        Self::new(200)
            .with_header("content-type", content_type.to_owned())
            .with_stream(Written {
                receiver,
                writing: Some(Box::pin(writing)),
                failure: None,
            })
    }

    /// Another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets a header, in place of those of its name.
    #[must_use]
    pub fn replacing_header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self.with_header(name, value)
    }

    /// These bytes as the body.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::full(bytes);
        self
    }

    /// Chunks as they come as the body.
    #[must_use]
    pub fn with_stream(
        mut self,
        stream: impl Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> Self {
        self.body = Body::from_stream(stream);
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The headers, in order.
    pub fn headers(&self) -> &[(String, Bytes)] {
        &self.headers
    }

    /// The body.
    pub fn into_body(self) -> Body {
        self.body
    }
}

// === impl BodyWriter ===

impl BodyWriter {
    /// Writes a chunk; waits until the reader has room for it.
    ///
    /// # Errors
    /// `ABORTED` when the client has gone.
    pub async fn write(&self, chunk: impl Into<Bytes>) -> Result<()> {
        self.sender
            .send(chunk.into())
            .await
            .map_err(|_| Error::aborted("the client has closed the connection"))
    }

    /// Writes a server-sent event with one line of data.
    pub async fn write_event(&self, data: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(data)?;
        self.write(format!("data: {json}\n\n")).await
    }
}

/// The chunks of a body that is being written: drives the writer while the reader waits.
struct Written {
    receiver: tokio::sync::mpsc::Receiver<Bytes>,
    writing: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    failure: Option<Error>,
}

impl Stream for Written {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let written = match &mut self.writing {
            Some(writing) => writing.as_mut().poll(context),
            None => Poll::Pending,
        };
        if let Poll::Ready(ended) = written {
            self.writing = None;
            self.failure = ended.err();
        }
        match self.receiver.poll_recv(context) {
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(Ok(chunk))),
            Poll::Ready(None) => Poll::Ready(self.failure.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The names and values of a query, or of a body of the type `application/x-www-form-urlencoded`,
/// decoded.
pub fn form_pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key, b' '), decode(value, b' '))
    })
}

/// The text with what is escaped in it, and something else for each `+`.
fn decode(text: &str, plus: u8) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(plus),
            b'%' => {
                let mut ahead = rest.clone();
                let pair = [ahead.next(), ahead.next()];
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                match (digit(pair[0]), digit(pair[1])) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "two hex digits fit a byte"
                    )]
                    (Some(high), Some(low)) => {
                        bytes.push((high * 16 + low) as u8);
                        rest = ahead;
                    }
                    _ => bytes.push(b'%'),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_text_is_decoded_and_broken_escapes_stay() {
        let decode_form = |text| decode(text, b' ');
        assert_eq!(decode_form("a+b%20c%C3%A9"), "a b cé");
        assert_eq!(decode_form("100%"), "100%");
        assert_eq!(decode_form("%zz%4"), "%zz%4");
        let pairs: Vec<_> = form_pairs("a=1&&b%3D=+2&c").collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("a", "1"), pair("b=", " 2"), pair("c", "")]);
    }

    #[test]
    fn principals_are_equal_by_tenant_and_subject_alone() {
        assert_eq!(Principal::new("ann").with_scope("x"), Principal::new("ann"));
        assert_ne!(
            Principal::new("ann").with_tenant("acme"),
            Principal::new("ann")
        );
    }
}

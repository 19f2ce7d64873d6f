//! HTTP requests as guards and endpoints see them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ffi::CrossedRequest;
use crate::principal::Principal;

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

    pub(crate) fn from_name(name: &str) -> Self {
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

/// Whether a text is a token of HTTP, as the names of headers, methods and schemes are.
///
/// ```
/// use mortise_plugin_api::is_token;
///
/// assert!(is_token("x-api-key"));
/// assert!(!is_token("x api") && !is_token(""));
/// ```
pub fn is_token(text: &str) -> bool {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(belongs)
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
pub(crate) fn decode(text: &str, plus: u8) -> String {
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
}

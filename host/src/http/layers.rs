//! What holds for every request: an id, a span, a valid host, contained panics, and the hooks
//! that see responses.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{
    CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use http_body::{Frame, SizeHint};
use mortise_plugin_api::Stage;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field};

use super::connections::Standing;
use super::error::{self, Failure};
use super::plugin_response;
use super::router::{self, Incoming, Seen};
use super::state::{HeadLimits, HttpState};
use crate::metrics::OpenStream;
use crate::pipeline::{Head, Sent};
use crate::plugin::request::RequestView;
use crate::runtime::RunUsage;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 64;
/// hyper has no more for HTTP/1, and no limit for HTTP/2.
const MOST_HEADERS: usize = 100;

/// Answers a request, whatever happens.
pub(super) async fn answer(state: Arc<HttpState>, request: Request, peer: SocketAddr) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers()).unwrap_or_else(|| (state.request_ids)());
    let seen = Arc::<Seen>::default();
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let origin = state
        .cors
        .as_ref()
        .and_then(|_| request.headers().get(ORIGIN).cloned());
    // With a target of its own it can be had where only warnings are written, and costs nothing there
    // unless somebody asks for it.
    let span = tracing::info_span!(
        target: "mortise::request",
        "request",
        request_id = %id,
        %method,
        %path,
        tenant = field::Empty,
        subject = field::Empty,
    );
    let mut watched = Watched {
        id,
        method,
        path,
        started,
        client_ip: state.proxies.client(peer, request.headers()),
        over: Over(Arc::clone(&seen)),
        stream: None,
        seen,
    };
    let mut response = {
        let counted = state.meters.begin(request.method(), started, &watched.seen);
        let answered = contained(&state, &watched, request, peer);
        let response = Box::pin(answered).instrument(span).await;
        if let Some(counted) = counted {
            counted.answered(&response);
        }
        response
    };
    watched.stream = state.meters.open_stream(&response);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&watched.id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(cors) = &state.cors {
        cors.mark(origin.as_ref(), headers);
    }
    add_protection(headers, state.hsts.as_ref());
    if state.pipeline.has(Stage::Completed)
        || watched.over.holds_places()
        || watched.stream.is_some()
    {
        response = watched.until_sent(state, response);
    }
    response
}

/// Tells the lines of this request, and of the run that it starts, who is asking.
pub(super) fn log_principal(request: &RequestView) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    if let Some(principal) = request.principal() {
        span.record("tenant", principal.tenant.as_str());
        span.record("subject", principal.subject.as_str());
    }
}

/// A request and what is remembered of it until its response was sent.
struct Watched {
    id: Arc<str>,
    method: String,
    path: String,
    started: Instant,
    client_ip: IpAddr,
    seen: Arc<Seen>,
    over: Over,
    /// The event stream that answers it, as it is counted.
    stream: Option<OpenStream>,
}

/// Frees the places of a request when its response was sent or given up.
struct Over(Arc<Seen>);

async fn contained(
    state: &HttpState,
    watched: &Watched,
    request: Request,
    peer: SocketAddr,
) -> Response {
    if let Err(refused) = check_head(&request, state.head_limits) {
        return refused.into_response();
    }
    if request.extensions().get::<Standing>() == Some(&Standing::Spare)
        && !router::is_probe(request.uri().path())
    {
        return Failure::overloaded().into_response();
    }
    if let Some(cors) = &state.cors
        && let Some(response) = cors.preflight(request.method(), request.headers())
    {
        return response;
    }
    let incoming = Incoming {
        id: Arc::clone(&watched.id),
        peer,
        client_ip: watched.client_ip,
        seen: Arc::clone(&watched.seen),
        request,
    };
    let routed = AssertUnwindSafe(router::route(state, incoming)).catch_unwind();
    let response = match routed.await {
        Ok(response) => response,
        Err(panic) => {
            let panic = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic, "a handler panicked");
            error::masked()
        }
    };
    if state.pipeline.has(Stage::Response) {
        return edited(state, watched, response).await;
    }
    response
}

/// The response with the head that hooks make of it.
async fn edited(state: &HttpState, watched: &Watched, response: Response) -> Response {
    let is_text = |value: &HeaderValue| value.to_str().is_ok();
    let headers = response.headers().iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let head = Head {
        request_id: watched.id.to_string(),
        method: watched.method.clone(),
        path: watched.path.clone(),
        status: response.status().as_u16(),
        headers: headers.collect(),
    };
    let changed = match state.pipeline.response(head).await {
        Ok(None) => return response,
        Ok(Some(changed)) => changed,
        Err(error) => return Failure::Thrown(error).into_response(),
    };
    let status = plugin_response::checked_status(changed.status);
    let headers = plugin_response::checked_headers(&changed.headers);
    let (status, headers) = match (status, headers) {
        (Ok(status), Ok(headers)) => (status, headers),
        (Err(error), _) | (_, Err(error)) => return Failure::Thrown(error).into_response(),
    };
    let (mut parts, body) = response.into_parts();
    parts.status = status;
    // What is no text was not shown to the hooks, so it stays.
    let unseen: Vec<_> = parts
        .headers
        .iter()
        .filter(|(_, value)| !is_text(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    parts.headers = headers;
    parts.headers.extend(unseen);
    Response::from_parts(parts, body)
}

/// An id that the client chose, if it is one that logs and headers can hold.
fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
    ((1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_plain)).then(|| id.into())
}

/// Whether the head is one that is looked at any further.
fn check_head(request: &Request, limits: HeadLimits) -> Result<(), Failure> {
    let headers = request.headers();
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if request
        .uri()
        .path_and_query()
        .map_or(0, |it| it.as_str().len())
        > limits.uri
    {
        return Err(Failure::uri_too_long());
    }
    if headers.len() > MOST_HEADERS || headers.iter().map(size).sum::<usize>() > limits.headers {
        return Err(Failure::head_too_large());
    }
    if !has_valid_host(request) {
        return Err(Failure::bad_request(
            "Request must have one valid Host header.",
        ));
    }
    Ok(())
}

/// Proxies in front may have routed by it, so there is one, and no other in the request line or
/// in `:authority`. HTTP/1.0 may do without.
fn has_valid_host(request: &Request) -> bool {
    let target = request.uri().authority();
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next(), target) {
        (None, _, None) => request.version() == Version::HTTP_10,
        (None, _, Some(target)) => request.version() != Version::HTTP_11 && is_host(target),
        (Some(host), None, target) => Authority::try_from(host.as_bytes()).is_ok_and(|host| {
            // Authorities are equal in any case of their letters.
            is_host(&host) && target.is_none_or(|target| *target == host)
        }),
        (Some(_), Some(_), _) => false,
    }
}

fn is_host(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

/// What keeps browsers from making more of an answer than it is, unless a plugin says otherwise.
fn add_protection(headers: &mut HeaderMap, hsts: Option<&HeaderValue>) {
    let is_page = is_page(headers);
    let mut add = |name, value| {
        headers.entry(name).or_insert(value);
    };
    add(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_page {
        add(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        add(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    if let Some(hsts) = hsts {
        add(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    const PAGE: &[u8] = b"text/html";
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.get(..PAGE.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(PAGE))
}

/// The header that tells browsers to use TLS alone for so long.
pub(super) fn strict_transport_security(max_age: Duration) -> HeaderValue {
    HeaderValue::from_str(&format!("max-age={}", max_age.as_secs())).expect("digits are ASCII")
}

// === impl Watched ===

impl Watched {
    /// Frees the places of the request once the body was sent or given up, and tells the
    /// `completed` hooks.
    fn until_sent(self, state: Arc<HttpState>, response: Response) -> Response {
        let status = response.status().as_u16();
        let usage = response.extensions().get::<RunUsage>().cloned();
        let report = move |bytes: u64| {
            drop((self.over, self.stream));
            if !state.pipeline.has(Stage::Completed) {
                return;
            }
            let request = self.seen.request();
            let sent = Sent {
                request_id: self.id.to_string(),
                agent: request.and_then(|request| request.agent.clone()),
                principal: request
                    .and_then(|request| request.principal())
                    .map(Arc::unwrap_or_clone),
                method: self.method,
                path: self.path,
                client_ip: self.client_ip,
                status,
                bytes,
                duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
                usage: usage.and_then(|usage| usage.get().copied()),
            };
            let tasks = state.tasks.clone();
            tasks.spawn(async move { state.pipeline.completed(&sent).await });
        };
        response.map(|body| {
            Body::new(Counted {
                body,
                bytes: 0,
                report: Some(Box::new(report)),
            })
        })
    }
}

// === impl Over ===

impl Over {
    fn holds_places(&self) -> bool {
        self.0
            .request()
            .is_some_and(|request| request.places.are_held())
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        if let Some(request) = self.0.request() {
            request.places.free();
        }
    }
}

/// A body that counts what was taken of it, and reports at its end or when it is dropped.
struct Counted {
    body: Body,
    bytes: u64,
    report: Option<Report>,
}

type Report = Box<dyn FnOnce(u64) + Send>;

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.bytes += data.len() as u64;
        }
        // A connection may keep a body that it has read to the end.
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.finish();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Counted {
    fn finish(&mut self) {
        if let Some(report) = self.report.take() {
            report(self.bytes);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::BodyExt as _;

    use super::*;

    fn asked(version: Version, uri: &str, hosts: &[&'static str]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.version_mut() = version;
        *request.uri_mut() = uri.parse().unwrap();
        for host in hosts {
            let host = HeaderValue::from_static(host);
            request.headers_mut().append(HOST, host);
        }
        request
    }

    #[test]
    fn there_is_one_valid_host() {
        let cases: [(Version, &str, &[&'static str], bool); 16] = [
            (Version::HTTP_11, "/", &["localhost:3141"], true),
            (Version::HTTP_11, "/", &["[::1]:80"], true),
            (Version::HTTP_11, "/", &[], false),
            (Version::HTTP_11, "/", &["a", "a"], false),
            (Version::HTTP_11, "/", &["a b"], false),
            (Version::HTTP_11, "/", &["user@a"], false),
            (Version::HTTP_11, "/", &["a/b"], false),
            (Version::HTTP_11, "http://a/", &["A"], true),
            (Version::HTTP_11, "http://a/", &["b"], false),
            (Version::HTTP_11, "http://a/", &[], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_2, "/", &[], false),
            (Version::HTTP_2, "http://a/", &[], true),
            (Version::HTTP_2, "http://a/", &["a"], true),
            (Version::HTTP_2, "http://a/", &["b"], false),
            (Version::HTTP_2, "http://u@a/", &[], false),
        ];
        for (version, uri, hosts, expected) in cases {
            let request = asked(version, uri, hosts);
            let valid = has_valid_host(&request);
            assert_eq!(valid, expected, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn a_head_beyond_the_limits_is_refused() {
        let limits = HeadLimits {
            headers: 100,
            uri: 10,
        };
        let status = |request: &Request| match check_head(request, limits) {
            Ok(()) => 200,
            Err(failure) => failure.into_response().status().as_u16(),
        };
        let mut request = asked(Version::HTTP_11, "/123?56789", &["a"]);
        assert_eq!(status(&request), 200);
        let filler = HeaderName::from_static("x");
        let value = HeaderValue::from_str(&"x".repeat(94)).unwrap();
        request.headers_mut().insert(&filler, value);
        assert_eq!(status(&request), 200);
        let value = HeaderValue::from_str(&"x".repeat(95)).unwrap();
        request.headers_mut().insert(&filler, value);
        assert_eq!(status(&request), 431);
        let long = asked(Version::HTTP_11, "/123?567890", &["a"]);
        assert_eq!(status(&long), 414);
        let mut many = asked(Version::HTTP_11, "/", &["a"]);
        for _ in 0..MOST_HEADERS {
            let empty = HeaderValue::from_static("");
            many.headers_mut()
                .append(HeaderName::from_static("x"), empty);
        }
        assert_eq!(status(&many), 431);
    }

    #[test]
    fn pages_are_protected_more_and_a_plugin_may_say_otherwise() {
        let mut json = HeaderMap::new();
        let hsts = strict_transport_security(Duration::from_mins(1));
        add_protection(&mut json, Some(&hsts));
        assert_eq!(json.len(), 2);
        assert_eq!(json[STRICT_TRANSPORT_SECURITY], "max-age=60");
        let mut page = HeaderMap::new();
        page.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("Text/HTML; charset=utf-8"),
        );
        page.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
        add_protection(&mut page, None);
        assert_eq!(page.len(), 4);
        assert_eq!(page[X_FRAME_OPTIONS], "SAMEORIGIN");
    }

    #[test]
    fn a_plain_request_id_is_kept() {
        let long = "x".repeat(65);
        for (id, kept) in [
            ("a.B-c_9", true),
            ("", false),
            ("a b", false),
            ("a/b", false),
            (&long[..64], true),
            (&long[..], false),
        ] {
            let value = HeaderValue::from_str(id).unwrap();
            let headers = HeaderMap::from_iter([(REQUEST_ID, value)]);
            assert_eq!(request_id(&headers).is_some(), kept, "{id:?}");
        }
    }

    #[tokio::test]
    async fn bytes_are_counted_once_also_when_the_client_goes() {
        let reported = Arc::new(Mutex::new(Vec::new()));
        for takes_all in [true, false] {
            let reports = Arc::clone(&reported);
            let mut counted = Counted {
                body: Body::from("12345"),
                bytes: 0,
                report: Some(Box::new(move |bytes| reports.lock().unwrap().push(bytes))),
            };
            if takes_all {
                while counted.frame().await.is_some() {}
            }
        }
        assert_eq!(*reported.lock().unwrap(), [5, 0]);
    }
}

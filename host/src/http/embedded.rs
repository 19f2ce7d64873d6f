//! The server without a connection of its own: for a program that has one.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use mortise_plugin_api::Error;
use tower_service::Service;

use super::error::Failure;
use super::layers;
use super::state::HttpState;

/// The body of a response.
pub type HttpBody = Body;

/// The router of axum.
pub type HttpRouter = axum::Router;

/// Everything that an app answers over HTTP, as a `tower::Service`: each request has the whole way
/// of one that came over a connection. Cheap to clone, always ready, and it never fails.
#[derive(Clone)]
pub struct HttpService {
    state: Arc<HttpState>,
}

/// Where a request comes from that does not say it.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

// === impl HttpService ===

impl HttpService {
    pub(crate) fn new(state: Arc<HttpState>) -> Self {
        Self { state }
    }

    pub(crate) fn into_router(self) -> HttpRouter {
        axum::Router::new().fallback_service(self)
    }

    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        if self.state.tasks.are_over() {
            return Failure::Thrown(Error::unavailable("The server has stopped.")).into_response();
        }
        let mut request = request.map(Body::new);
        let peer = peer(&request);
        name_host(&mut request);
        layers::answer(Arc::clone(&self.state), request, peer).await
    }
}

fn peer(request: &Request<Body>) -> SocketAddr {
    let extensions = request.extensions();
    let of_axum = extensions.get().map(|&ConnectInfo(peer)| peer);
    let peer = of_axum.or_else(|| extensions.get().copied());
    peer.unwrap_or(NOWHERE)
}

/// Whoever accepted the connection has checked the header; who writes a request by hand has none.
fn name_host(request: &mut Request<Body>) {
    if request.headers().contains_key(HOST) {
        return;
    }
    let authority = request.uri().authority();
    let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let host = host.unwrap_or(HeaderValue::from_static("localhost"));
    request.headers_mut().insert(HOST, host);
}

impl<B> Service<Request<B>> for HttpService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_read_from_where_frameworks_put_it() {
        let ann: SocketAddr = "192.0.2.1:5".parse().unwrap();
        let request = || Request::new(Body::empty());
        assert_eq!(peer(&request()), NOWHERE);
        let mut plain = request();
        plain.extensions_mut().insert(ann);
        assert_eq!(peer(&plain), ann);
        let mut of_axum = request();
        of_axum.extensions_mut().insert(ConnectInfo(ann));
        assert_eq!(peer(&of_axum), ann);
    }

    #[test]
    fn only_a_missing_host_is_filled_in() {
        let cases = [
            ("/x", None, "localhost"),
            ("http://example.com:80/x", None, "example.com:80"),
            ("http://example.com/x", Some("sent"), "sent"),
        ];
        for (uri, sent, expected) in cases {
            let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            if let Some(sent) = sent {
                let sent = HeaderValue::from_static(sent);
                request.headers_mut().insert(HOST, sent);
            }
            name_host(&mut request);
            assert_eq!(request.headers()[HOST], expected, "{uri}");
        }
    }
}

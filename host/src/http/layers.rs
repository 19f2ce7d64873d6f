//! What holds for every request: an id, a span, a valid host, contained panics, and the hooks
//! that see responses.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::header::{
    CONTENT_TYPE, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use mortise_plugin_api::Stage;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field};

use super::connections::Standing;
use super::error::{self, Failure};
use super::exchange::{Exchange, Over};
use super::head::{self, REQUEST_ID};
use super::plugin_response;
use super::router::{self, Incoming, Seen};
use super::state::HttpState;
use crate::pipeline::Head;
use crate::plugin::request::RequestView;

/// Answers a request, whatever happens.
pub(super) async fn answer(state: Arc<HttpState>, request: Request, peer: SocketAddr) -> Response {
    let started = Instant::now();
    let id = head::request_id(request.headers()).unwrap_or_else(|| (state.request_ids)());
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
    let mut exchange = Exchange {
        id,
        method,
        path,
        started,
        client_ip: state.settings.proxies.client(peer, request.headers()),
        over: Over::new(&seen),
        stream: None,
        seen,
    };
    let mut response = {
        let measured = state
            .meters
            .begin(request.method(), started, &exchange.seen);
        let answered = contained(&state, &exchange, request, peer);
        let response = Box::pin(answered).instrument(span).await;
        if let Some(measured) = measured {
            measured.answered(&response);
        }
        response
    };
    exchange.stream = state.meters.open_stream(&response);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&exchange.id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(cors) = &state.cors {
        cors.mark(origin.as_ref(), headers);
    }
    add_protection(headers, state.hsts.as_ref());
    if state.pipeline.has(Stage::Completed)
        || exchange.over.holds_places()
        || exchange.stream.is_some()
    {
        response = exchange.until_sent(state, response);
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

async fn contained(
    state: &HttpState,
    exchange: &Exchange,
    request: Request,
    peer: SocketAddr,
) -> Response {
    if let Err(refused) = head::check(&request, state.settings.head_limits) {
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
        id: Arc::clone(&exchange.id),
        peer,
        client_ip: exchange.client_ip,
        seen: Arc::clone(&exchange.seen),
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
        return edited(state, exchange, response).await;
    }
    response
}

/// The response with the head that hooks make of it.
async fn edited(state: &HttpState, exchange: &Exchange, response: Response) -> Response {
    let is_text = |value: &HeaderValue| value.to_str().is_ok();
    let headers = response.headers().iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let head = Head {
        request_id: exchange.id.to_string(),
        method: exchange.method.clone(),
        path: exchange.path.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

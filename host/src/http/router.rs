//! Every built-in route, on one page, and the way of a request to its handler.
//!
//! axum's own router would decode parameters, answer HEAD by itself and panic on a conflict; what
//! clients of the native API know is simpler, and stands here.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::response::Response;
use http::header::HeaderValue;
use http::{HeaderMap, HeaderName, Method, Uri};
use mortise_plugin_api::{Principal, RouteRequest, Stage};

use super::auth::Entry;
use super::body::JsonBody;
use super::error::Failure;
use super::handlers::{DOCUMENT, Handler, PROBES, ROUTES, param, unescaped};
use super::plugin_routes::{Lookup, RequestPath};
use super::state::{HttpState, Serves};
use super::{layers, params, plugin_call, routes};
use crate::ledger::Places;
use crate::metrics::RouteMeters;
use crate::pipeline::GuardOutcome;
use crate::plugin::request::{RequestParts, RequestView};

/// What the server counts; only where it is asked for.
const METRICS: &str = "/metrics";

/// No built-in route has more segments.
const MOST_SEGMENTS: usize = 4;

/// A call of a built-in route that was let in.
pub(super) struct Call<'s> {
    pub(super) state: &'s HttpState,
    pub(super) request: Arc<RequestView>,
    pub(super) body: JsonBody,
}

/// A request as it leaves the layers.
pub(super) struct Incoming {
    pub(super) id: Arc<str>,
    pub(super) peer: SocketAddr,
    pub(super) client_ip: IpAddr,
    /// Where the layers read what became known of the request.
    pub(super) seen: Arc<Seen>,
    pub(super) request: Request,
}

/// What became known of a request on its way.
#[derive(Default)]
pub(super) struct Seen {
    request: OnceLock<Arc<RequestView>>,
    route: OnceLock<RouteMeters>,
}

/// Where a request goes.
enum Destination<'p> {
    Probe,
    BuiltIn(Handler, Vec<(&'static str, &'p str)>),
    OtherMethods(Vec<Method>),
    Unknown,
}

/// Answers a request.
pub(super) async fn route(state: &HttpState, incoming: Incoming) -> Response {
    let uri = incoming.request.uri().clone();
    let method = incoming.request.method().clone();
    if state.settings.serves == Serves::Metrics && uri.path() == METRICS {
        let answered = match method {
            Method::GET => routes::show_metrics::answer(state),
            _ => Err(Failure::method_not_allowed(allow(&[Method::GET]))),
        };
        return answered.unwrap_or_else(Failure::into_response);
    }
    let path = cut_base(uri.path(), &state.settings.base_path);

    let destination = match destination(&method, path, state.runtime.has_tool_endpoints()) {
        Destination::BuiltIn(..) | Destination::OtherMethods(_)
            if !state.is_native() && !is_probe(uri.path()) =>
        {
            Destination::Unknown
        }
        destination => destination,
    };
    let mut allowed = match destination {
        Destination::Probe => {
            incoming.seen.set_route(state.meters.probe(uri.path()));
            return routes::probe::answer(state, uri.path());
        }
        Destination::BuiltIn(handler @ Handler::ShowDocument, _) if state.opens_document() => {
            incoming.seen.set_route(state.meters.built_in(handler));
            let answered = routes::show_document::answer(state);
            return answered.unwrap_or_else(Failure::into_response);
        }
        Destination::BuiltIn(handler, params) => {
            incoming.seen.set_route(state.meters.built_in(handler));
            let answered = Box::pin(built_in(state, incoming, handler, params)).await;
            return answered.unwrap_or_else(Failure::into_response);
        }
        Destination::OtherMethods(methods) => methods,
        Destination::Unknown => Vec::new(),
    };

    let mounts = state.mounts.load_full();
    match mounts.lookup(&method, path) {
        Lookup::Reached(reached) => {
            incoming.seen.set_route(&reached.meters);
            let mount = Arc::clone(&reached.mount);
            let seen = Arc::clone(&incoming.seen);
            match Box::pin(plugin_call::call(state, incoming, reached)).await {
                Ok(response) => response,
                Err(failure) => {
                    let request = seen
                        .request()
                        .map(|it| of_error(&it.id, &it.uri, &it.headers));
                    failure.into_response_of(&mount, request).await
                }
            }
        }
        Lookup::Unfit { mount } => {
            let request = Some(incoming.of_error());
            Failure::no_route().into_response_of(&mount, request).await
        }
        Lookup::OtherMethods { mount, methods } if allowed.is_empty() => {
            let failure = if mount.hides_paths() {
                Failure::no_route()
            } else {
                Failure::method_not_allowed(allow(&methods))
            };
            let request = Some(incoming.of_error());
            let failure = plugin_call::refusal(state, incoming, &mount, failure).await;
            failure.into_response_of(&mount, request).await
        }
        Lookup::OtherMethods { mount, methods } => {
            if !mount.hides_paths() {
                allowed.extend(methods);
            }
            Failure::method_not_allowed(allow(&allowed)).into_response()
        }
        Lookup::Unknown if allowed.is_empty() => {
            let Some(mount) = mounts.renderer(&state.settings.base_path, state.is_native(), path)
            else {
                return Failure::no_route().into_response();
            };
            let request = Some(incoming.of_error());
            let failure = Failure::no_route();
            let failure = plugin_call::refusal(state, incoming, mount, failure).await;
            failure.into_response_of(mount, request).await
        }
        Lookup::Unknown => Failure::method_not_allowed(allow(&allowed)).into_response(),
    }
}

/// What a mount that renders an error may know of the request.
fn of_error(id: &str, uri: &Uri, headers: &HeaderMap) -> RouteRequest {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    RouteRequest::new(id, uri.path(), headers.iter().filter_map(text))
}

/// Lets a request in, or not, and calls the handler.
async fn built_in(
    state: &HttpState,
    incoming: Incoming,
    handler: Handler,
    params: Vec<(&'static str, &str)>,
) -> Result<Response, Failure> {
    let Incoming {
        id,
        peer,
        client_ip,
        seen,
        request,
    } = incoming;
    let (parts, body) = request.into_parts();

    let entry = state.check(&parts.uri, &parts.headers)?;
    let (bytes, body) = handler
        .read(&parts.headers, body, state.settings.body_limits)
        .await?;
    let run_id = handler.run_id(&params, &parts.uri, &body);
    let agent = match run_id.filter(|_| state.pipeline.has(Stage::Guard)) {
        Some(run_id) => state.runtime.agent_of(&run_id).await?,
        None => None,
    };
    let agent = agent
        .as_deref()
        .or_else(|| param(&params, "name"))
        .map(str::to_owned);
    let request = RequestView::new(RequestParts {
        id,
        kind: handler.kind(&parts.headers),
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        peer,
        client_ip,
        agent,
        mount: None,
        params: owned(&params),
        body: bytes,
        places: Places::of(Arc::clone(&state.ledger)),
    });
    seen.set_request(&request);
    admit(state, &request, entry).await?;
    state.pipeline.observe_request(&request);

    let call = Call {
        state,
        request,
        body,
    };
    match handler {
        Handler::Run => routes::run::answer(call).await,
        Handler::LoadConversation => routes::load_conversation::answer(call).await,
        Handler::ResumeStream => routes::resume_stream::answer(call).await,
        Handler::ResumeConversation => routes::resume_conversation::answer(&call),
        Handler::AbortRun => routes::abort_run::answer(call).await,
        Handler::ToolResult => routes::submit_tool_result::answer(call).await,
        Handler::ToolApproval => routes::submit_tool_approval::answer(call).await,
        Handler::ListAgents => Ok(routes::list_agents::answer(&call)),
        Handler::ListRuns => routes::list_runs::answer(call).await,
        Handler::ShowRun => routes::show_run::answer(call).await,
        Handler::ListApprovals => routes::list_approvals::answer(&call),
        Handler::ShowUsage => routes::show_usage::answer(call).await,
        Handler::EnqueueJob => routes::enqueue_job::answer(call).await,
        Handler::ListJobs => routes::list_jobs::answer(call).await,
        Handler::ShowJob => routes::show_job::answer(call).await,
        Handler::CancelJob => routes::cancel_job::answer(call).await,
        Handler::DeleteConversation => routes::delete_conversation::answer(call).await,
        Handler::ExecuteTool => routes::execute_tool::answer(call).await,
        Handler::ShowDocument => routes::show_document::answer(call.state),
    }
}

/// Asks the guards. Then it is known who is asking, also to the log.
pub(super) async fn admit(
    state: &HttpState,
    request: &Arc<RequestView>,
    entry: Entry,
) -> Result<(), Failure> {
    if let Some(principal) = entry.principal {
        request.set_principal(principal);
    }
    match state.pipeline.guard(request, entry.guards).await {
        GuardOutcome::Admitted => {
            layers::log_principal(request);
            Ok(())
        }
        GuardOutcome::Answered(answer) => {
            let response = super::plugin_response::into_response(*answer)?;
            Err(Failure::Answered(Box::new(response)))
        }
        GuardOutcome::Unauthenticated => Err(Failure::unauthorized()),
        GuardOutcome::Failed(error) => Err(Failure::Thrown(*error)),
    }
}

/// Whether the path is for whoever watches the server.
pub(super) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

/// `has_tools` says whether any tool can be called over HTTP; otherwise there is no such route.
fn destination<'p>(method: &Method, path: RequestPath<'p>, has_tools: bool) -> Destination<'p> {
    if is_probe(path.whole) {
        return match *method {
            Method::GET => Destination::Probe,
            _ => Destination::OtherMethods(vec![Method::GET]),
        };
    }
    if path.whole == DOCUMENT {
        return match *method {
            Method::GET => Destination::BuiltIn(Handler::ShowDocument, Vec::new()),
            _ => Destination::OtherMethods(vec![Method::GET]),
        };
    }
    let mut segments = [""; MOST_SEGMENTS];
    let mut count = 0;
    for segment in path.below_base.split('/').filter(|it| !it.is_empty()) {
        let Some(place) = segments.get_mut(count) else {
            return Destination::Unknown;
        };
        *place = segment;
        count += 1;
    }
    let segments = &segments[..count];

    let mut others = Vec::new();
    for route in &ROUTES {
        if route.handler == Handler::ExecuteTool && !has_tools {
            continue;
        }
        let Some(params) = route.captures(segments) else {
            continue;
        };
        if !params
            .iter()
            .all(|(_, value)| params::is_plain_segment(value))
        {
            return Destination::Unknown;
        }
        if route.method == *method {
            return Destination::BuiltIn(route.handler, params);
        }
        if !others.contains(&route.method) {
            others.push(route.method.clone());
        }
    }
    if others.is_empty() {
        Destination::Unknown
    } else {
        Destination::OtherMethods(others)
    }
}

/// Cuts the base path, where it ends at the border of a segment.
pub(super) fn cut_base<'p>(path: &'p str, base_path: &str) -> RequestPath<'p> {
    let has_base = !base_path.is_empty() && is_below(path, base_path);
    RequestPath {
        whole: path,
        below_base: if has_base {
            &path[base_path.len()..]
        } else {
            path
        },
        has_base,
    }
}

/// Whether a path is the prefix, or continues it after a slash.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<_> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).expect("methods are tokens")
}

fn owned(params: &[(&'static str, &str)]) -> Vec<(String, String)> {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    params.iter().map(owned).collect()
}

// === impl Seen ===

impl Seen {
    pub(super) fn request(&self) -> Option<&Arc<RequestView>> {
        self.request.get()
    }

    /// The first one stays.
    pub(super) fn set_request(&self, request: &Arc<RequestView>) {
        let _ = self.request.set(Arc::clone(request));
    }

    /// The route that the request is counted under, if it has reached one.
    pub(super) fn route(&self) -> Option<&RouteMeters> {
        self.route.get()
    }

    fn set_route(&self, route: &RouteMeters) {
        let _ = self.route.set(route.clone());
    }
}

// === impl Incoming ===

impl Incoming {
    fn of_error(&self) -> RouteRequest {
        of_error(&self.id, self.request.uri(), self.request.headers())
    }
}

// === impl Call ===

impl Call<'_> {
    /// The agent in the path.
    pub(super) fn agent(&self) -> &str {
        self.request.agent.as_deref().unwrap_or_default()
    }

    /// Another parameter of the path, as it was sent.
    pub(super) fn param(&self, name: &str) -> &str {
        let params = &self.request.params;
        let param = params.iter().find(|(own, _)| own == name);
        param.map_or("", |(_, value)| value.as_str())
    }

    /// The run in the path.
    pub(super) fn run_id(&self) -> Cow<'_, str> {
        unescaped(self.param("runId"))
    }

    pub(super) fn principal(&self) -> Arc<Principal> {
        let known = self.request.principal();
        known.unwrap_or_else(|| Arc::new(Principal::anonymous()))
    }
}

#[cfg(test)]
mod tests;

//! Calls of plugin endpoints: who lets the request in, and what goes in and out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use mortise_plugin_api::{Error, GuardVerdict, Principal, RequestKind};

use super::auth::Entry;
use super::body;
use super::error::Failure;
use super::plugin_response;
use super::plugin_routes::{Admission, Mounted, Reached};
use super::router::{Incoming, admit};
use super::state::HttpState;
use crate::ledger::Places;
use crate::pipeline::Guards;
use crate::plugin::request::{RequestParts, RequestView};

/// Lets a request in, or not, and calls the endpoint.
pub(super) async fn call(
    state: &HttpState,
    incoming: Incoming,
    reached: Reached,
) -> Result<Response, Failure> {
    let Reached {
        mount,
        endpoint,
        admission,
        params,
        meters: _,
    } = reached;
    let (request, body) = view(state, incoming, &mount, params);
    let_in(state, &mount, admission, &request).await?;
    state.pipeline.observe_request(&request);

    let body = body::stream(&request.headers, body, state.settings.body_limits)?;
    let answering = mount.capability.handle(endpoint, &request, body);
    let limit = state.settings.endpoint_timeout.unwrap_or(Duration::MAX);
    let Ok(answer) = tokio::time::timeout(limit, answering).await else {
        tracing::warn!(plugin = %mount.instance, ?limit, "an endpoint took too long");
        return Err(Error::timeout("The server took too long to answer.").into());
    };
    Ok(plugin_response::into_response(answer?)?)
}

/// What is said of a path or method that nobody has: the mount may want to know who is asking first.
pub(super) async fn refusal(
    state: &HttpState,
    incoming: Incoming,
    mount: &Arc<Mounted>,
    refusal: Failure,
) -> Failure {
    if !mount.hides_routes() {
        return refusal;
    }
    let (request, _) = view(state, incoming, mount, Vec::new());
    let let_in = let_in(state, mount, Admission::Own, &request).await;
    let_in.err().unwrap_or(refusal)
}

/// The request as hooks and the mount see it, and its body.
fn view(
    state: &HttpState,
    incoming: Incoming,
    mount: &Mounted,
    params: Vec<(String, String)>,
) -> (Arc<RequestView>, Body) {
    let Incoming {
        id,
        peer,
        client_ip,
        seen,
        request,
    } = incoming;
    let (parts, body) = request.into_parts();
    let request = RequestView::new(RequestParts {
        id,
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        peer,
        client_ip,
        kind: RequestKind::Endpoint,
        agent: None,
        mount: Some(Arc::clone(&mount.instance)),
        params,
        body: bytes::Bytes::new(),
        places: Places::of(Arc::clone(&state.ledger)),
    });
    seen.set_request(&request);
    (request, body)
}

async fn let_in(
    state: &HttpState,
    mount: &Mounted,
    admission: Admission,
    request: &Arc<RequestView>,
) -> Result<(), Failure> {
    match admission {
        Admission::Public => {
            request.set_principal(Principal::anonymous());
            Ok(())
        }
        Admission::Protected => {
            let entry = state.check(&request.uri, &request.headers)?;
            admit(state, request, entry).await
        }
        Admission::Own => {
            let asked = mount.capability.authenticate(request);
            let verdict = tokio::time::timeout(state.pipeline.timeout(), asked)
                .await
                .map_err(|_| Error::internal("the mount took too long to authenticate"))??;
            let principal = match verdict {
                GuardVerdict::Authenticated(principal) => {
                    state.check_own(&principal, &request.uri, &request.headers)?;
                    principal
                }
                GuardVerdict::Respond(answer) => {
                    let response = plugin_response::into_response(answer)?;
                    return Err(Failure::AnsweredByMount(Box::new(response)));
                }
                // Neither is a yes.
                GuardVerdict::Pass | GuardVerdict::NoCredentials => {
                    return Err(Failure::unauthorized());
                }
            };
            let entry = Entry {
                principal: Some(Arc::new(principal)),
                guards: Guards::NonAuthenticating,
            };
            admit(state, request, entry).await
        }
    }
}

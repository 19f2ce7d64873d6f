//! The stages of a request: guards before it, the head of its response, and its end.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use mortise_plugin_api::{Error, GuardVerdict, HookInfo, Principal, Response, Stage, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Pipeline, log_failure, outcome_of_failure, within};
use crate::plugin::capability::OfferedHook;
use crate::plugin::request::RequestView;

/// Which guards a request must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guards {
    All,
    /// Of those that authenticate and of the secret, one must accept and none may refuse; then
    /// all others.
    Any(Authorization),
    /// Those that do not authenticate: who asks is known already.
    NonAuthenticating,
}

/// What the `Authorization` header is to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// There is none, or no secret to compare it with.
    Free,
    /// It is the secret, so that it is nothing to a guard.
    Secret,
    /// It is not the secret: wrong, unless a guard takes it up.
    Other,
}

/// What one guard says of a request that it does not refuse.
enum Verdict {
    Pass,
    Authenticated(Arc<Principal>),
    NoCredentials,
}

/// What the guards say together.
#[derive(Debug)]
pub(crate) enum GuardOutcome {
    Admitted,
    /// A guard answers the request itself.
    Answered(Box<Response>),
    /// Somebody has to say who is asking, and nobody did.
    Unauthenticated,
    /// A guard failed, and must not be passed when it does.
    Failed(Box<Error>),
}

/// The head of a response, as the `response` stage sees and changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    pub(crate) request_id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

/// A response that was sent, as the `completed` stage is told of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sent {
    pub(crate) request_id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) agent: Option<String>,
    pub(crate) principal: Option<Principal>,
    pub(crate) client_ip: IpAddr,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) duration_ms: u64,
    pub(crate) usage: Option<Usage>,
}

/// Headers that may carry credentials, whoever asks for them; observers read that there was one.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
];

// === impl Pipeline ===

impl Pipeline {
    /// Whether there is a guard that tells who is asking.
    pub(crate) fn has_authentication(&self) -> bool {
        self.authenticating().next().is_some()
    }

    /// The instances whose credential is where the secret is, and nowhere else.
    pub(crate) fn beside_the_secret(&self) -> impl Iterator<Item = &str> {
        let beside = |hook: &&Arc<OfferedHook>| {
            let credentials = &hook.capability.info().credentials;
            !credentials.is_empty()
                && credentials
                    .iter()
                    .all(|name| *name == AUTHORIZATION.as_str())
        };
        self.authenticating()
            .filter(beside)
            .map(|hook| &*hook.instance)
    }

    /// Whether a request with these headers could be let in by the secret or by a guard that
    /// authenticates: what cannot is refused before its body is read.
    pub(crate) fn may_accept(&self, headers: &HeaderMap, authorization: Authorization) -> bool {
        match authorization {
            Authorization::Secret => true,
            Authorization::Free => self
                .authenticating()
                .any(|hook| finds_credential(hook.capability.info(), headers, authorization)),
            Authorization::Other => self
                .authenticating()
                .any(|hook| reads_authorization(hook.capability.info())),
        }
    }

    /// Asks the guards, in order, until one does not let the request pass.
    pub(crate) async fn guard(&self, request: &Arc<RequestView>, guards: Guards) -> GuardOutcome {
        let asked = match guards {
            Guards::All => self.ask_all(request, |_| true).await,
            Guards::Any(authorization) => match self.ask_any(request, authorization).await {
                Ok(()) => self.ask_all(request, |info| !info.authenticates).await,
                refused => refused,
            },
            Guards::NonAuthenticating => self.ask_all(request, |info| !info.authenticates).await,
        };
        asked.err().unwrap_or(GuardOutcome::Admitted)
    }

    /// Every one of these guards must let the request pass.
    async fn ask_all(
        &self,
        request: &Arc<RequestView>,
        wanted: fn(&HookInfo) -> bool,
    ) -> Result<(), GuardOutcome> {
        for hook in self.at(Stage::Guard) {
            let info = hook.capability.info();
            if !wanted(info) {
                continue;
            }
            match self.ask_guard(hook, info, request).await? {
                Verdict::Pass => {}
                Verdict::Authenticated(principal) => request.set_principal(principal),
                Verdict::NoCredentials => return Err(GuardOutcome::Unauthenticated),
            }
        }
        Ok(())
    }

    /// The secret or one of the guards that authenticate must have accepted, and none refused.
    async fn ask_any(
        &self,
        request: &Arc<RequestView>,
        authorization: Authorization,
    ) -> Result<(), GuardOutcome> {
        let mut is_taken_up = authorization != Authorization::Other;
        for hook in self.authenticating() {
            let info = hook.capability.info();
            if !finds_credential(info, &request.headers, authorization) {
                continue;
            }
            // Letting pass is not enough here: it tells nothing of who is asking.
            if let Verdict::Authenticated(principal) = self.ask_guard(hook, info, request).await? {
                request.set_principal(principal);
                is_taken_up |= reads_authorization(info);
            }
        }
        if is_taken_up && request.principal().is_some() {
            Ok(())
        } else {
            Err(GuardOutcome::Unauthenticated)
        }
    }

    async fn ask_guard(
        &self,
        hook: &OfferedHook,
        info: &HookInfo,
        request: &Arc<RequestView>,
    ) -> Result<Verdict, GuardOutcome> {
        if has_credential_twice(info, &request.headers) {
            return Err(GuardOutcome::Unauthenticated);
        }
        let said = if info.at_once {
            let Some(said) = hook.capability.guard_now(request).transpose() else {
                return Ok(Verdict::Pass);
            };
            said.map(|said| *said)
        } else {
            within(self.timeout, hook.capability.guard(request)).await
        };
        let verdict = judged(hook, said);
        if matches!(verdict, Ok(Verdict::NoCredentials) | Err(_)) {
            hook.meters.guard_refused();
        }
        verdict
    }

    fn authenticating(&self) -> impl Iterator<Item = &Arc<OfferedHook>> {
        let guards = self.at(Stage::Guard).iter();
        guards.filter(|hook| hook.capability.info().authenticates)
    }

    /// Lets hooks change the head of a response; `None` where none did.
    ///
    /// # Errors
    /// A masked error, where a hook failed that must not be skipped.
    pub(crate) async fn response(&self, mut head: Head) -> Result<Option<Head>, Error> {
        let mut is_changed = false;
        for hook in self.at(Stage::Response) {
            let changed = async {
                let answer = call_stage(hook, Stage::Response, &head).await?;
                Ok(serde_json::from_slice::<Option<Head>>(&answer)?)
            };
            match within(self.timeout, changed).await {
                Ok(None) => {}
                Ok(Some(changed)) => {
                    head = changed;
                    is_changed = true;
                }
                Err(failed) => outcome_of_failure(hook, Stage::Response, &failed)?,
            }
        }
        Ok(is_changed.then_some(head))
    }

    /// Tells hooks that a response was sent.
    pub(crate) async fn completed(&self, sent: &Sent) {
        for hook in self.at(Stage::Completed) {
            let told = async { call_stage(hook, Stage::Completed, sent).await.map(drop) };
            if let Err(failed) = within(self.timeout, told).await {
                log_failure(hook, Stage::Completed, &failed, "a hook failed");
            }
        }
    }

    /// Tells observers of a request that was let in; costs nothing where there are none.
    pub(crate) fn observe_request(&self, request: &RequestView) {
        if self.observers().wants("request") {
            self.observers().json(
                "request",
                &observed(request, &self.credentials).to_string().into(),
            );
        }
    }
}

/// What a guard's word means for the request.
fn judged(hook: &OfferedHook, said: Result<GuardVerdict, Error>) -> Result<Verdict, GuardOutcome> {
    let authenticates = hook.capability.info().authenticates;
    let failed = match said {
        Ok(GuardVerdict::Pass) => return Ok(Verdict::Pass),
        Ok(GuardVerdict::Respond(response)) => {
            return Err(GuardOutcome::Answered(Box::new(response)));
        }
        Ok(GuardVerdict::Authenticated(principal)) if authenticates => {
            return Ok(Verdict::Authenticated(Arc::new(principal)));
        }
        Ok(GuardVerdict::NoCredentials) if authenticates => return Ok(Verdict::NoCredentials),
        Ok(_) => Error::internal("a guard that does not authenticate spoke of credentials"),
        Err(error) => error,
    };
    match outcome_of_failure(hook, Stage::Guard, &failed) {
        Ok(()) => Ok(Verdict::Pass),
        Err(error) => Err(GuardOutcome::Failed(Box::new(error))),
    }
}

/// Whether a guard that authenticates has something to look at.
fn finds_credential(info: &HookInfo, headers: &HeaderMap, authorization: Authorization) -> bool {
    let is_there = |name: &String| {
        let value = headers.get(name.as_str());
        value.is_some_and(|value| !value.as_bytes().trim_ascii().is_empty())
    };
    let is_secret =
        |name: &String| authorization == Authorization::Secret && *name == AUTHORIZATION.as_str();
    let mut names = info.credentials.iter();
    info.credentials.is_empty() || names.any(|name| is_there(name) && !is_secret(name))
}

/// Whether a guard that authenticates may have found who is asking in `Authorization`.
fn reads_authorization(info: &HookInfo) -> bool {
    let mut names = info.credentials.iter();
    info.credentials.is_empty() || names.any(|name| *name == AUTHORIZATION.as_str())
}

/// Of two credentials the guard would see one, and something in front of the server another.
fn has_credential_twice(info: &HookInfo, headers: &HeaderMap) -> bool {
    let mut names = info.credentials.iter();
    names.any(|name| headers.get_all(name.as_str()).iter().nth(1).is_some())
}

pub(super) async fn call_stage(
    hook: &OfferedHook,
    stage: Stage,
    payload: &impl Serialize,
) -> Result<bytes::Bytes, Error> {
    let payload = serde_json::to_vec(payload)?;
    hook.capability.stage(stage.as_str(), None, payload).await
}

/// `ObservedRequest`, in the form in which observations cross. `credentials` are headers that are
/// hidden beside those that always are.
fn observed(request: &RequestView, credentials: &[String]) -> Value {
    let headers = request.headers.iter().filter_map(|(name, value)| {
        let is_hidden = CREDENTIALS.contains(&name.as_str())
            || credentials.iter().any(|hidden| name == hidden.as_str());
        let value = if is_hidden {
            "[REDACTED]"
        } else {
            value.to_str().ok()?
        };
        Some((name.as_str(), value))
    });
    json!({
        "observed": "request",
        "requestId": &*request.id,
        "kind": request.kind.as_str(),
        "method": request.method.as_str(),
        "path": request.uri.path(),
        "agent": request.agent,
        "principal": request.principal().as_deref(),
        "clientIp": request.client_ip,
        "headers": headers.collect::<Vec<_>>(),
        "body": serde_json::from_slice::<Value>(&request.body).ok(),
    })
}

#[cfg(test)]
mod tests;

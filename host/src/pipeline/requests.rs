//! The stages of a request: guards before it, the head of its response, and its end.

use std::net::IpAddr;
use std::sync::Arc;

use mortise_plugin_api::{Error, GuardVerdict, OnError, Principal, Response, Stage, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Pipeline, within};
use crate::plugin::SWITCHED_OFF;
use crate::plugin::capability::OfferedHook;
use crate::plugin::request::RequestView;

/// Which guards a request must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guards {
    All,
    /// Those that do not authenticate: who asks is known already.
    NonAuthenticating,
}

/// What the guards say together.
#[derive(Debug)]
pub(crate) enum GuardOutcome {
    Admitted,
    /// A guard answers the request itself.
    Answered(Response),
    /// A guard that authenticates found no credential.
    Unauthenticated,
    /// A guard failed, and must not be passed when it does.
    Failed(Error),
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

/// Headers that carry credentials; observers read that there was one.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
];

// === impl Pipeline ===

impl Pipeline {
    /// Asks the guards, in order, until one does not let the request pass.
    pub(crate) async fn guard(&self, request: &Arc<RequestView>, guards: Guards) -> GuardOutcome {
        for hook in self.at(Stage::Guard) {
            let info = hook.capability.info();
            if info.authenticates && guards == Guards::NonAuthenticating {
                continue;
            }
            let verdict = if info.at_once {
                hook.capability.guard_now(request)
            } else {
                within(self.timeout, hook.capability.guard(request)).await
            };
            let failed = match verdict {
                Ok(GuardVerdict::Pass) => continue,
                Ok(GuardVerdict::Respond(response)) => return GuardOutcome::Answered(response),
                Ok(GuardVerdict::Authenticated(principal)) if info.authenticates => {
                    request.set_principal(principal);
                    continue;
                }
                Ok(GuardVerdict::NoCredentials) if info.authenticates => {
                    return GuardOutcome::Unauthenticated;
                }
                Ok(_) => Error::internal("a guard that does not authenticate spoke of credentials"),
                Err(error) => error,
            };
            if let Err(error) = outcome_of_failure(hook, Stage::Guard, &failed) {
                return GuardOutcome::Failed(error);
            }
        }
        GuardOutcome::Admitted
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
                log(hook, Stage::Completed, &failed);
            }
        }
    }

    /// Tells observers of a request that was let in; costs nothing where there are none.
    pub(crate) fn observe_request(&self, request: &RequestView) {
        if self.observers().wants("request") {
            self.observers()
                .json("request", &observed(request).to_string().into());
        }
    }
}

async fn call_stage(
    hook: &OfferedHook,
    stage: Stage,
    payload: &impl Serialize,
) -> Result<bytes::Bytes, Error> {
    let payload = serde_json::to_vec(payload)?;
    hook.capability.stage(stage.as_str(), None, payload).await
}

/// What becomes of the request when a hook fails: the log knows why, the client does not.
fn outcome_of_failure(hook: &OfferedHook, stage: Stage, failed: &Error) -> Result<(), Error> {
    log(hook, stage, failed);
    match hook.on_error {
        OnError::Skip => Ok(()),
        OnError::Deny => Err(Error::internal(format!(
            "the hook {} of {} failed in the stage {}",
            hook.capability.info().name,
            hook.instance,
            stage.as_str(),
        ))),
    }
}

fn log(hook: &OfferedHook, stage: Stage, failed: &Error) {
    // That it is switched off was logged when it was.
    if failed.code() == Some(SWITCHED_OFF) {
        return;
    }
    tracing::warn!(
        instance = %hook.instance,
        hook = %hook.capability.info().name,
        stage = stage.as_str(),
        error = %failed,
        "a hook failed"
    );
}

/// `ObservedRequest`, in the form in which observations cross.
fn observed(request: &RequestView) -> Value {
    let headers = request.headers.iter().filter_map(|(name, value)| {
        let value = if CREDENTIALS.contains(&name.as_str()) {
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

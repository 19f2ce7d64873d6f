//! Whole tokens against whole configurations.

mod changes;
mod claims;
mod configuration;
mod keys;
mod place;
mod scopes;
mod signatures;
mod spelling;

use jsonwebtoken::Algorithm;
use mortise_plugin_api::testing::{FakeHost, FakeRequest, LoadedHook};

use super::*;
use crate::JwtAuth;
use crate::testing::{NOW, SECRET, by_secret, encode, jwk, raw, signed, test_key, with, without};

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Tenant and subject.
    Known(String, String),
    NoCredentials,
    /// The status.
    Refused(u16),
}

const INVALID: Answer = Answer::Refused(401);

fn ann() -> Answer {
    Answer::Known("default".into(), "ann".into())
}

fn claims() -> Value {
    json!({ "sub": "ann", "exp": NOW + 600 })
}

/// The guard of this configuration, and its host.
fn load(config: Value) -> (LoadedHook, FakeHost) {
    let host = FakeHost::new("jwt-auth");
    let hook = host.load::<JwtAuth>(config).unwrap().hook("jwt");
    (hook, host)
}

/// One issuer with these keys, and more of it.
fn issuer(keys: &Value, more: &Value) -> Value {
    let mut issuer = json!({ "keys": keys, "leeway": "0s" });
    for (name, value) in more.as_object().unwrap() {
        issuer[name] = value.clone();
    }
    json!({ "issuers": [issuer] })
}

fn secret_key() -> Value {
    json!({ "algorithms": ["HS256"], "secret": SECRET })
}

/// A guard that trusts the secret.
fn trusting(more: &Value) -> LoadedHook {
    load(issuer(&json!([secret_key()]), more)).0
}

async fn answer(hook: &LoadedHook, request: FakeRequest) -> Answer {
    match hook.guard(request).await.unwrap() {
        GuardVerdict::Authenticated(principal) => {
            Answer::Known(principal.tenant, principal.subject)
        }
        GuardVerdict::NoCredentials => Answer::NoCredentials,
        GuardVerdict::Respond(response) => Answer::Refused(response.status()),
        GuardVerdict::Pass => panic!("it authenticates, so it never passes"),
    }
}

fn bearing(token: impl AsRef<[u8]>) -> FakeRequest {
    FakeRequest::run("plain").with_header("authorization", [b"Bearer ", token.as_ref()].concat())
}

async fn of_token(hook: &LoadedHook, token: impl AsRef<[u8]>) -> Answer {
    answer(hook, bearing(token)).await
}

async fn of_claims(hook: &LoadedHook, claims: &Value) -> Answer {
    of_token(hook, by_secret(claims)).await
}

async fn principal(hook: &LoadedHook, claims: &Value) -> Principal {
    match hook.guard(bearing(by_secret(claims))).await.unwrap() {
        GuardVerdict::Authenticated(principal) => principal,
        other => panic!("{other:?}"),
    }
}

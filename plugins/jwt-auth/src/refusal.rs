//! Why a request is not let in: what the log reads, and what the client reads.
//!
//! The client is never told which check failed: that would help whoever makes tokens up.

use mortise_plugin_api::prelude::*;

/// Why a token is not believed. For the log: it names claims, and shows no value of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the header stands more than once")]
    SeveralHeaders,
    #[error("it is longer than 8 KiB")]
    TooLong,
    #[error("it is no token in compact form")]
    Malformed,
    #[error("its header has `crit` or `b64`")]
    Critical,
    #[error("its `alg` is none that is known")]
    Algorithm,
    #[error("its `typ` is not accepted")]
    Kind,
    #[error("its `iss` is not accepted")]
    Issuer,
    #[error("no key fits its `kid` and `alg`")]
    UnknownKey,
    #[error("the keys of its issuer could not be read so far")]
    NoKeysYet,
    #[error("its signature is wrong")]
    Signature,
    #[error("its `aud` is not accepted")]
    Audience,
    #[error("its claim `{0}` is missing")]
    Missing(String),
    #[error("its claim `{0}` is not what is expected")]
    Unfit(String),
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
}

/// Refuses whoever presents a token that is not believed.
pub(crate) fn invalid_token() -> Result<GuardVerdict> {
    refuse(
        401,
        "UNAUTHORIZED",
        "Missing or invalid bearer token.",
        Some("Bearer error=\"invalid_token\"".to_owned()),
    )
}

/// Refuses whoever is known and may not do this.
pub(crate) fn insufficient_scope(scopes: &[&str]) -> Result<GuardVerdict> {
    let challenge = format!(
        "Bearer error=\"insufficient_scope\", scope=\"{}\"",
        scopes.join(" ")
    );
    refuse(
        403,
        "FORBIDDEN",
        "The token lacks a scope that is needed here.",
        Some(challenge),
    )
}

/// Puts off whoever presents a token that nobody can judge.
pub(crate) fn unavailable() -> Result<GuardVerdict> {
    let verdict = refuse(
        503,
        Error::UNAVAILABLE,
        "Tokens cannot be verified now.",
        None,
    )?;
    Ok(match verdict {
        GuardVerdict::Respond(response) => {
            GuardVerdict::Respond(response.with_header("retry-after", "5"))
        }
        other => other,
    })
}

fn refuse(
    status: u16,
    code: &str,
    message: &str,
    challenge: Option<String>,
) -> Result<GuardVerdict> {
    let body = json!({ "code": code, "message": message, "status": status });
    let response = Response::json(&body)?.with_status(status);
    Ok(GuardVerdict::Respond(match challenge {
        Some(challenge) => response.with_header("www-authenticate", challenge),
        None => response,
    }))
}

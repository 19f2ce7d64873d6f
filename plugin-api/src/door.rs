//! Who is let in where all clients share one token.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::hook::GuardVerdict;
use crate::principal::{Principal, default_tenant};
use crate::request::Request;
use crate::response::Response;

/// Lets in whoever presents a token that all share as `Authorization: Bearer`, or everybody where
/// there is none. For [`Mount::authenticated_by`](crate::Mount::authenticated_by).
///
/// The token is compared in constant time and never shown.
#[derive(Clone)]
pub struct Door {
    // Digests are of one length, so that comparing them tells nothing of the token's length.
    token: Option<[u8; 32]>,
    principal: Principal,
}

/// A text in a `config` table that is never shown: `[redacted]` stands in its place.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Secret(pub String);

/// Whose runs and sessions they are: a part of a plugin's `config` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalConfig {
    /// The user or machine.
    pub subject: String,
    /// Its organisation.
    #[serde(default = "default_tenant")]
    pub tenant: String,
}

// === impl Door ===

impl Door {
    /// A door for the settings `token` and `principal`. Unless it is named, the principal is the
    /// operator with a token and anonymous without.
    ///
    /// # Errors
    /// A setting that is blank.
    pub fn new(token: Option<&Secret>, principal: Option<&PrincipalConfig>) -> Result<Self> {
        let token = token.map(|token| token.0.as_str());
        let is_blank = |text: &str| text.trim().is_empty();
        if token.is_some_and(is_blank) {
            return Err(Error::config("/token", "is blank"));
        }
        if principal.is_some_and(|own| is_blank(&own.subject) || is_blank(&own.tenant)) {
            return Err(Error::config("/principal", "has a blank name"));
        }
        let principal = match (principal, token) {
            (Some(own), _) => Principal::new(&own.subject).with_tenant(&own.tenant),
            (None, Some(_)) => Principal::operator(),
            (None, None) => Principal::anonymous(),
        };
        Ok(Self {
            token: token.map(digest),
            principal,
        })
    }

    /// Whether everybody is let in.
    pub fn is_open(&self) -> bool {
        self.token.is_none()
    }

    /// As whom the request comes in; `None` without the token. Clients write `Bearer` exactly so,
    /// and once.
    pub fn admits(&self, request: &Request) -> Option<&Principal> {
        let is_let_in = self.token.is_none_or(|token| {
            request
                .bearer()
                .is_some_and(|presented| digest(presented).ct_eq(&token).into())
        });
        is_let_in.then_some(&self.principal)
    }

    /// The verdict on a request: `refusal` without the token.
    pub fn verdict(&self, request: &Request, refusal: impl FnOnce() -> Response) -> GuardVerdict {
        match self.admits(request) {
            Some(principal) => GuardVerdict::Authenticated(principal.clone()),
            None => GuardVerdict::Respond(refusal()),
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

// === impl Secret ===

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn digest(token: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_settings_are_refused_and_the_token_is_never_shown() {
        let owner = PrincipalConfig {
            subject: " ".into(),
            tenant: "acme".into(),
        };
        let [blank, token] = [" ", "hunter2"].map(|text| Secret(text.into()));
        assert!(Door::new(Some(&blank), None).is_err());
        assert!(Door::new(Some(&token), Some(&owner)).is_err());
        let door = Door::new(Some(&token), None).unwrap();
        assert!(!door.is_open());
        assert!(!format!("{door:?} {token:?}").contains("hunter2"));
        assert_eq!(door.principal, Principal::operator());
        assert!(Door::new(None, None).unwrap().is_open());
    }
}

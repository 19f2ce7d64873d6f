//! Who is let in: whoever presents the token, or everybody where there is none.

use std::fmt;

use mortise_plugin_api::prelude::*;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Config;
use crate::wire;

/// The token, as its digest, and as whom it lets in.
#[derive(Clone)]
pub(crate) struct Door {
    // Digests are of one length, so that comparing them tells nothing of the token's length.
    token: Option<[u8; 32]>,
    principal: Principal,
}

// === impl Door ===

impl Door {
    pub(crate) fn new(config: &Config) -> Self {
        let principal = match (&config.principal, &config.token) {
            (Some(own), _) => Principal::new(&own.subject).with_tenant(&own.tenant),
            (None, Some(_)) => Principal::operator(),
            (None, None) => Principal::anonymous(),
        };
        Self {
            token: config.token.as_deref().map(digest),
            principal,
        }
    }

    /// Whether everybody is let in.
    pub(crate) fn is_open(&self) -> bool {
        self.token.is_none()
    }

    pub(crate) fn check(&self, request: &Request) -> GuardVerdict {
        if self.token.is_none_or(|token| presents(request, &token)) {
            GuardVerdict::Authenticated(self.principal.clone())
        } else {
            GuardVerdict::Respond(wire::failure(401, "Unauthorized"))
        }
    }
}

/// Whether the request carries the token, once: clients write `Bearer` exactly so.
fn presents(request: &Request, token: &[u8; 32]) -> bool {
    let headers = request.headers();
    let mut values = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let (Some((_, value)), None) = (values.next(), values.next()) else {
        return false;
    };
    value
        .strip_prefix(b"Bearer ")
        .is_some_and(|presented| digest(presented).ct_eq(token).into())
}

fn digest(token: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

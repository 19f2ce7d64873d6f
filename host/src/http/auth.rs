//! The door: the server's secret, and how it goes together with the guards that authenticate.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use mortise_plugin_api::Principal;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::Failure;
use crate::config::{Auth, Secret};
use crate::pipeline::{Authorization, Guards, Pipeline};

/// What the headers of a request are held against before its body is read.
#[derive(Debug)]
pub(super) struct Door {
    auth: Auth,
    /// The `Authorization` header that holds the secret; `None` where there is no secret.
    ///
    /// Only digests are kept and compared, so that the time a comparison takes tells nothing, not
    /// even how long the secret is.
    expected: Option<[u8; 32]>,
    holder: Arc<Principal>,
    anonymous: Arc<Principal>,
}

/// A request that may go on to the guards.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Who is asking; `None` where a guard has to find out.
    pub(super) principal: Option<Arc<Principal>>,
    pub(super) guards: Guards,
}

// === impl Door ===

impl Door {
    pub(super) fn new(auth: Auth, secret: Option<&Secret>, holder: Principal) -> Self {
        let expected = secret.map(|secret| {
            let mut digest = Sha256::new();
            digest.update(b"Bearer ");
            digest.update(secret.as_bytes());
            digest.finalize().into()
        });
        Self {
            auth,
            expected,
            holder: Arc::new(holder),
            anonymous: Arc::default(),
        }
    }

    /// Lets a request go on to the guards, unless none of them could let it in.
    pub(super) fn check(&self, headers: &HeaderMap, guards: &Pipeline) -> Result<Entry, Failure> {
        let authorization = self.authorization(headers)?;
        // Where no guard authenticates, there is nothing to choose from.
        if self.auth == Auth::All || !guards.has_authentication() {
            let principal = match authorization {
                Authorization::Secret => Arc::clone(&self.holder),
                Authorization::Free if self.expected.is_none() => Arc::clone(&self.anonymous),
                Authorization::Free | Authorization::Other => return Err(Failure::unauthorized()),
            };
            return Ok(Entry {
                principal: Some(principal),
                guards: Guards::All,
            });
        }
        if !guards.may_accept(headers, authorization) {
            return Err(Failure::unauthorized());
        }
        Ok(Entry {
            principal: (authorization == Authorization::Secret).then(|| Arc::clone(&self.holder)),
            guards: Guards::Any(authorization),
        })
    }

    /// Whether there is a secret.
    pub(super) fn is_locked(&self) -> bool {
        self.expected.is_some()
    }

    fn authorization(&self, headers: &HeaderMap) -> Result<Authorization, Failure> {
        let Some(expected) = &self.expected else {
            return Ok(Authorization::Free);
        };
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(given) = values.next() else {
            return Ok(Authorization::Free);
        };
        if values.next().is_some() {
            return Err(Failure::unauthorized());
        }
        let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        Ok(if bool::from(given.ct_eq(expected)) {
            Authorization::Secret
        } else {
            Authorization::Other
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shutdown::Tasks;

    fn subject(auth: Auth, secret: Option<&str>, authorization: &[&'static str]) -> Option<String> {
        let secret = secret.map(|text| Secret::try_from(text.to_owned()).unwrap());
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        let guards = Pipeline::new(Vec::new(), Duration::MAX, &Tasks::new());
        let door = Door::new(auth, secret.as_ref(), Principal::new("ops"));
        let entry = door.check(&headers, &guards).ok()?;
        assert_eq!(entry.guards, Guards::All);
        Some(entry.principal.unwrap().subject.clone())
    }

    #[test]
    fn only_the_exact_header_lets_in() {
        let cases: [(&[&'static str], bool); 9] = [
            (&["Bearer s3cret"], true),
            (&[], false),
            (&[""], false),
            (&["bearer s3cret"], false),
            (&["Bearer  s3cret"], false),
            (&["Bearer s3cre"], false),
            (&["Bearer s3cretx"], false),
            (&["s3cret"], false),
            (&["Bearer s3cret", "Bearer s3cret"], false),
        ];
        for auth in [Auth::All, Auth::Any] {
            for (headers, accepted) in cases {
                let expected = accepted.then(|| "ops".to_owned());
                assert_eq!(
                    subject(auth, Some("s3cret"), headers),
                    expected,
                    "{headers:?}"
                );
            }
        }
    }

    #[test]
    fn without_a_secret_and_guards_everybody_is_anonymous() {
        for auth in [Auth::All, Auth::Any] {
            assert_eq!(subject(auth, None, &[]).as_deref(), Some("anonymous"));
            assert_eq!(
                subject(auth, None, &["Bearer x"]).as_deref(),
                Some("anonymous")
            );
        }
    }
}

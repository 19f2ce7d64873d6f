//! The server's secret, as a bearer token.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use mortise_plugin_api::Principal;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::Failure;
use crate::config::Secret;

/// The `Authorization` header that lets clients in; `None` where none is asked for.
///
/// Only digests are kept and compared, so that the time a comparison takes tells nothing, not
/// even how long the secret is.
#[derive(Debug)]
pub(super) struct Bearer {
    expected: Option<[u8; 32]>,
}

// === impl Bearer ===

impl Bearer {
    pub(super) fn new(secret: Option<&Secret>) -> Self {
        let expected = secret.map(|secret| {
            let mut digest = Sha256::new();
            digest.update(b"Bearer ");
            digest.update(secret.as_bytes());
            digest.finalize().into()
        });
        Self { expected }
    }

    /// Who the header says is asking, as far as the secret can tell.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Principal, Failure> {
        let Some(expected) = &self.expected else {
            return Ok(Principal::anonymous());
        };
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (values.next(), values.next()) else {
            return Err(Failure::unauthorized());
        };
        let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        if bool::from(given.ct_eq(expected)) {
            Ok(Principal::operator())
        } else {
            Err(Failure::unauthorized())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(secret: Option<&str>, authorization: &[&'static str]) -> Option<String> {
        let secret = secret.map(|text| Secret::try_from(text.to_owned()).unwrap());
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        let principal = Bearer::new(secret.as_ref()).check(&headers).ok()?;
        Some(principal.subject)
    }

    #[test]
    fn only_the_exact_header_lets_in() {
        let cases: [(&[&'static str], bool); 8] = [
            (&["Bearer s3cret"], true),
            (&[], false),
            (&["bearer s3cret"], false),
            (&["Bearer  s3cret"], false),
            (&["Bearer s3cre"], false),
            (&["Bearer s3cretx"], false),
            (&["s3cret"], false),
            (&["Bearer s3cret", "Bearer s3cret"], false),
        ];
        for (headers, accepted) in cases {
            let expected = accepted.then(|| "operator".to_owned());
            assert_eq!(subject(Some("s3cret"), headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn without_a_secret_everybody_is_anonymous() {
        assert_eq!(subject(None, &[]).as_deref(), Some("anonymous"));
        assert_eq!(subject(None, &["Bearer x"]).as_deref(), Some("anonymous"));
    }
}

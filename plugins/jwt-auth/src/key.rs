//! One key: what it may verify, and whether it signed a token.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use mortise_plugin_api::serde_json::{Map, Value};

use crate::algorithm::{Algorithm, Family};
use crate::json;
use crate::token::Token;

/// A key with the algorithms it may be used with: what a token says of itself never widens them.
pub(crate) struct Key {
    /// The `kid` by which tokens name it.
    pub(crate) id: Option<String>,
    algorithms: Vec<Algorithm>,
    material: DecodingKey,
}

/// Why something is no key for us. No text of a key is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("it is neither a public key in PEM nor a JWK")]
    Unreadable,
    #[error("it is a private key; the public one verifies: openssl pkey -pubout")]
    Private,
    #[error("it is a certificate; take the public key out of it: openssl x509 -pubkey -noout")]
    Certificate,
    #[error("it is not for verifying signatures, by its use or key_ops")]
    OtherUse,
    #[error("it is of a kind that is not supported")]
    Unsupported,
    #[error("an RSA key has 2048 to 4096 bits, this one {0}")]
    RsaSize(usize),
    #[error("{algorithm} needs a secret of at least {} bytes", algorithm.shortest_secret())]
    ShortSecret { algorithm: Algorithm },
    #[error("it is a key in PEM or JSON, and no secret; write it as `key`")]
    KeyAsSecret,
    #[error("it is a secret, and `{algorithm}` needs {}", algorithm.family())]
    SecretAsKey { algorithm: Algorithm },
    #[error("it is {has}, which `{algorithm}` does not work with")]
    WrongFamily { has: Family, algorithm: Algorithm },
    #[error("no algorithm that it fits is allowed")]
    NoAlgorithm,
}

// === impl Key ===

impl Key {
    /// A secret that both sides know. All algorithms must be HMAC ones.
    pub(crate) fn from_secret(
        id: Option<String>,
        secret: &str,
        algorithms: &[Algorithm],
    ) -> Result<Self, KeyError> {
        // A public key as a secret would let whoever reads the key sign.
        if secret.contains("-----BEGIN") || secret.trim_start().starts_with('{') {
            return Err(KeyError::KeyAsSecret);
        }
        let key = Self {
            id,
            algorithms: algorithms.to_vec(),
            material: DecodingKey::from_secret(secret.as_bytes()),
        };
        key.all_fit(Family::Secret)?;
        secret_is_long_enough(secret.len(), algorithms)?;
        Ok(key)
    }

    /// A public key in PEM or a JWK, which every one of the algorithms must fit.
    pub(crate) fn from_text(
        id: Option<String>,
        text: &str,
        algorithms: &[Algorithm],
    ) -> Result<Self, KeyError> {
        let text = text.trim();
        let jwk = if text.starts_with('{') {
            let object = json::object(text.as_bytes()).map_err(|_| KeyError::Unreadable)?;
            jwk(object)?
        } else {
            jwk_of_pem(text)?
        };
        let mut key = Self::from_jwk(&jwk, algorithms)?;
        if let Some(&algorithm) = algorithms.iter().find(|it| !key.algorithms.contains(it)) {
            return Err(KeyError::WrongFamily {
                has: family(&jwk)?,
                algorithm,
            });
        }
        key.id = id.or(key.id);
        Ok(key)
    }

    /// A key of a set, for those of the algorithms that it fits.
    pub(crate) fn from_jwk(jwk: &Jwk, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        is_for_signatures(jwk)?;
        let algorithms: Vec<_> = allowed
            .iter()
            .copied()
            .filter(|it| fits(jwk, *it))
            .collect();
        if algorithms.is_empty() {
            return Err(match allowed.first() {
                Some(&algorithm) if family(jwk)? != algorithm.family() => KeyError::WrongFamily {
                    has: family(jwk)?,
                    algorithm,
                },
                _ => KeyError::NoAlgorithm,
            });
        }
        is_well_formed(jwk, &algorithms)?;
        let key = Self {
            id: jwk.common.key_id.clone().filter(|id| !id.is_empty()),
            algorithms,
            material: DecodingKey::from_jwk(jwk).map_err(|_| KeyError::Unreadable)?,
        };
        // Tells whether the point is on its curve.
        for &algorithm in &key.algorithms {
            jsonwebtoken::crypto::verify("", b"", &key.material, algorithm.to_library())
                .map_err(|_| KeyError::Unreadable)?;
        }
        Ok(key)
    }

    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether this key signed that token, with an algorithm that it is allowed.
    pub(crate) fn signed(&self, token: &Token<'_>) -> bool {
        let algorithm = token.header.algorithm;
        self.allows(algorithm)
            && jsonwebtoken::crypto::verify(
                token.signature,
                token.signed.as_bytes(),
                &self.material,
                algorithm.to_library(),
            )
            .unwrap_or(false)
    }

    fn all_fit(&self, has: Family) -> Result<(), KeyError> {
        match self.algorithms.iter().find(|it| it.family() != has) {
            Some(&algorithm) if has == Family::Secret => Err(KeyError::SecretAsKey { algorithm }),
            Some(&algorithm) => Err(KeyError::WrongFamily { has, algorithm }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// The JWK that an object is, without a private part.
pub(crate) fn jwk(object: Map<String, Value>) -> Result<Jwk, KeyError> {
    if object.contains_key("d") {
        return Err(KeyError::Private);
    }
    serde_json::from_value(Value::Object(object)).map_err(|_| KeyError::Unreadable)
}

/// In the form of a JWK there is one way to look at a key, wherever it came from.
fn jwk_of_pem(text: &str) -> Result<Jwk, KeyError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyError::Private);
    }
    // The library would take the first bits of a certificate for a key.
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(KeyError::Certificate);
    }
    let pem = text.as_bytes();
    let key = if text.contains("-----BEGIN RSA PUBLIC KEY-----") {
        DecodingKey::from_rsa_pem(pem)
    } else {
        DecodingKey::from_ec_pem(pem)
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .or_else(|_| DecodingKey::from_rsa_pem(pem))
    };
    let key = key.map_err(|_| KeyError::Unreadable)?;
    Jwk::from_decoding_key(&key, None).map_err(|_| KeyError::Unsupported)
}

fn is_for_signatures(jwk: &Jwk) -> Result<(), KeyError> {
    let common = &jwk.common;
    let by_use = match &common.public_key_use {
        Some(usage) => *usage == PublicKeyUse::Signature,
        None => true,
    };
    let by_operations = match &common.key_operations {
        Some(operations) => operations.contains(&KeyOperations::Verify),
        None => true,
    };
    if by_use && by_operations {
        Ok(())
    } else {
        Err(KeyError::OtherUse)
    }
}

fn family(jwk: &Jwk) -> Result<Family, KeyError> {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Ok(Family::Rsa),
        AlgorithmParameters::EllipticCurve(_) => Ok(Family::EllipticCurve),
        AlgorithmParameters::OctetKeyPair(_) => Ok(Family::Edwards),
        AlgorithmParameters::OctetKey(_) => Ok(Family::Secret),
        _ => Err(KeyError::Unsupported),
    }
}

/// Whether a key may be used with an algorithm, by its kind, its curve and its own `alg`.
fn fits(jwk: &Jwk, algorithm: Algorithm) -> bool {
    let of_kind = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => algorithm == Algorithm::ES256,
            EllipticCurve::P384 => algorithm == Algorithm::ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(key) => {
            key.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
        }
        _ => family(jwk).is_ok_and(|it| it == algorithm.family()),
    };
    let own = jwk.common.key_algorithm.as_ref();
    of_kind && own.is_none_or(|own| own.to_string() == algorithm.to_string())
}

fn is_well_formed(jwk: &Jwk, algorithms: &[Algorithm]) -> Result<(), KeyError> {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => {
            let modulus = decode(&key.n)?;
            let zeros = modulus.iter().take_while(|it| **it == 0).count();
            let bits = (modulus.len() - zeros) * 8
                - modulus
                    .get(zeros)
                    .map_or(0, |it| it.leading_zeros() as usize);
            let exponent = decode(&key.e)?;
            // An even exponent, or 1, makes every signature or none right.
            let is_odd = |number: &[u8]| number.last().is_some_and(|it| it % 2 == 1);
            let is_one = exponent.iter().map(|it| u32::from(*it)).sum::<u32>() == 1;
            if !(2048..=4096).contains(&bits) {
                return Err(KeyError::RsaSize(bits));
            }
            if !is_odd(&modulus) || !is_odd(&exponent) || is_one {
                return Err(KeyError::Unreadable);
            }
            Ok(())
        }
        AlgorithmParameters::EllipticCurve(key) => {
            let length = if key.curve == EllipticCurve::P384 {
                48
            } else {
                32
            };
            has_length(&key.x, length)?;
            has_length(&key.y, length)
        }
        AlgorithmParameters::OctetKeyPair(key) => has_length(&key.x, 32),
        AlgorithmParameters::OctetKey(key) => {
            secret_is_long_enough(decode(&key.value)?.len(), algorithms)
        }
        _ => Err(KeyError::Unsupported),
    }
}

fn secret_is_long_enough(length: usize, algorithms: &[Algorithm]) -> Result<(), KeyError> {
    match algorithms.iter().find(|it| length < it.shortest_secret()) {
        Some(&algorithm) => Err(KeyError::ShortSecret { algorithm }),
        None => Ok(()),
    }
}

fn has_length(text: &str, length: usize) -> Result<(), KeyError> {
    if decode(text)?.len() == length {
        Ok(())
    } else {
        Err(KeyError::Unreadable)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyError::Unreadable)
}

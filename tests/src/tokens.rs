//! Tokens for servers with `jwt-auth`: signed as they should be, or as somebody made them up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

/// The secret of the test servers, long enough for every `HS…`.
pub const TOKEN_SECRET: &str = "a test secret that is by no means to be used for anything else..";

/// Whoever signs.
#[derive(Debug, Clone, Copy)]
pub enum Signer<'k> {
    /// `HS256` with this secret.
    Secret(&'k [u8]),
    /// With this private key in PEM, as the algorithm wants it.
    Pem(Algorithm, &'k str),
}

/// A private key for tests, `es256-a.pem` for example.
///
/// # Panics
/// When there is none of this name.
pub fn test_key(name: &str) -> String {
    let path = crate::workspace()
        .join("plugins/jwt-auth/test-keys")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A token with these claims.
pub fn token(signer: Signer<'_>, claims: &Value) -> String {
    token_with(signer, &Value::Object(serde_json::Map::new()), claims)
}

/// A token with more in its header than `alg`.
///
/// # Panics
/// When the header is no object.
pub fn token_with(signer: Signer<'_>, header: &Value, claims: &Value) -> String {
    let mut header = header.as_object().expect("a header is an object").clone();
    let algorithm = format!("{:?}", signer.algorithm());
    header.entry("alg").or_insert_with(|| algorithm.into());
    raw_token(
        signer,
        &Value::Object(header).to_string(),
        &claims.to_string(),
    )
}

/// A token of these very texts, whatever they say.
///
/// # Panics
/// When the key is none for its algorithm.
pub fn raw_token(signer: Signer<'_>, header: &str, claims: &str) -> String {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = jsonwebtoken::crypto::sign(
        message.as_bytes(),
        &signer.encoding_key(),
        signer.algorithm(),
    );
    format!(
        "{message}.{}",
        signature.expect("the key fits its algorithm")
    )
}

// === impl Signer ===

impl Signer<'_> {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::HS256,
            Self::Pem(algorithm, _) => algorithm,
        }
    }

    fn encoding_key(self) -> EncodingKey {
        match self {
            Self::Secret(secret) => EncodingKey::from_secret(secret),
            Self::Pem(algorithm, pem) => match algorithm {
                Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
                Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
                _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
            }
            .expect("the test key is of its kind"),
        }
    }
}

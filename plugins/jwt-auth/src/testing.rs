//! What tests sign with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use mortise_plugin_api::serde_json::{Value, json};

pub(crate) const SECRET: &str = "a test secret that is by no means to be used for anything else..";

macro_rules! test_key {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/test-keys/",
            $name,
            ".pem"
        ))
    };
}

pub(crate) use test_key;

/// When the clock of the fake host stands still, in seconds.
pub(crate) const NOW: u64 = 1_735_689_600;

/// A token of these very texts.
pub(crate) fn raw(algorithm: Algorithm, key: &str, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            EncodingKey::from_secret(key.as_bytes())
        }
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(key.as_bytes()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(key.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(key.as_bytes()).unwrap(),
    };
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// A token whose header says how it is signed.
pub(crate) fn signed(algorithm: Algorithm, key: &str, kid: Option<&str>, claims: &Value) -> String {
    let mut header = json!({ "alg": format!("{algorithm:?}") });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    raw(algorithm, key, &header.to_string(), &claims.to_string())
}

/// A token signed with [`SECRET`].
pub(crate) fn by_secret(claims: &Value) -> String {
    signed(Algorithm::HS256, SECRET, None, claims)
}

pub(crate) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

pub(crate) fn with(claims: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims.clone();
    claims[name] = value.into();
    claims
}

pub(crate) fn without(claims: &Value, name: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// The JWK of a public key in PEM of an elliptic curve.
pub(crate) fn jwk(kid: &str, pem: &str) -> Value {
    let key = DecodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    let mut jwk = serde_json::to_value(Jwk::from_decoding_key(&key, None).unwrap()).unwrap();
    jwk["kid"] = kid.into();
    jwk
}

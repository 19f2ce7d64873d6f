//! The parts of a token, before anything of it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mortise_plugin_api::serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::json;
use crate::refusal::Refused;

/// A token in compact form, taken apart.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    pub(crate) header: Header,
    pub(crate) claims: Map<String, Value>,
    /// What the signature is over.
    pub(crate) signed: &'t str,
    pub(crate) signature: &'t str,
}

/// What of a header counts. Keys, and places of keys, that a token brings along do not.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) kind: Option<String>,
}

/// No token is longer: it is a header line, and reading it costs time before it is known.
pub(crate) const LONGEST: usize = 8 * 1024;

// === impl Token ===

impl<'t> Token<'t> {
    /// Takes a text apart that is not longer than [`LONGEST`].
    pub(crate) fn parse(text: &'t [u8]) -> Result<Self, Refused> {
        let text = std::str::from_utf8(text).map_err(|_| Refused::Malformed)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        if signature.is_empty() {
            return Err(Refused::Malformed);
        }
        Ok(Self {
            header: Header::parse(&part(header)?)?,
            claims: part(claims)?,
            signed,
            signature,
        })
    }
}

// === impl Header ===

impl Header {
    fn parse(header: &Map<String, Value>) -> Result<Self, Refused> {
        // Both change what the signature means, and we understand neither.
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Refused::Critical);
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refused::Malformed),
        };
        let algorithm = text("alg")?.ok_or(Refused::Algorithm)?;
        Ok(Self {
            algorithm: Algorithm::named(&algorithm).ok_or(Refused::Algorithm)?,
            key_id: text("kid")?,
            kind: text("typ")?,
        })
    }
}

/// A part is an object in base64 of the URL alphabet, without padding and in its one spelling.
fn part(text: &str) -> Result<Map<String, Value>, Refused> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Refused::Malformed)?;
    json::object(&bytes).map_err(|_| Refused::Malformed)
}

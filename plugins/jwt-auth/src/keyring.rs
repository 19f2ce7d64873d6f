//! Several keys, and which of them a token is checked with.

use crate::key::Key;
use crate::refusal::Refused;
use crate::token::Token;

/// The keys of one issuer that are known now.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    keys: Vec<Key>,
}

// === impl Keyring ===

impl Keyring {
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Checks the signature. A key with an id is for tokens that name it, a key without one for
    /// any token; a `kid` is compared with ids, and used for nothing else.
    pub(crate) fn verify(&self, token: &Token<'_>) -> Result<(), Refused> {
        let header = &token.header;
        let mut candidates = self
            .keys
            .iter()
            .filter(|key| key.allows(header.algorithm))
            .filter(|key| key.id.is_none() || key.id == header.key_id)
            .peekable();
        if candidates.peek().is_none() {
            return Err(Refused::UnknownKey);
        }
        if candidates.any(|key| key.signed(token)) {
            Ok(())
        } else {
            Err(Refused::Signature)
        }
    }
}

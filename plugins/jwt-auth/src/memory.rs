//! Tokens that were verified before.
//!
//! A token is found by the digest of all of it, so that a changed signature is another token; and
//! what is found is still asked for its lifetime, each time.

use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::issuer::Verified;

/// Verified tokens, the most useful ones, up to a number.
#[derive(Debug)]
pub(crate) struct Memory {
    cache: Option<Cache<TokenDigest, Remembered>>,
}

/// What stands for a token.
pub(crate) type TokenDigest = [u8; 32];

#[derive(Debug, Clone)]
struct Remembered {
    /// Of the keys that verified it.
    generation: u64,
    verified: Arc<Verified>,
}

// === impl Memory ===

impl Memory {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            cache: (capacity > 0).then(|| Cache::new(capacity)),
        }
    }

    pub(crate) fn digest(token: &[u8]) -> TokenDigest {
        Sha256::digest(token).into()
    }

    /// What is known of a token, unless the keys have changed since.
    pub(crate) fn recall(&self, token: &TokenDigest, generation: u64) -> Option<Arc<Verified>> {
        let remembered = self.cache.as_ref()?.get(token)?;
        (remembered.generation == generation).then_some(remembered.verified)
    }

    /// Remembers a token. `generation` is that of the keys before they were asked.
    pub(crate) fn remember(&self, token: TokenDigest, generation: u64, verified: &Arc<Verified>) {
        if let Some(cache) = &self.cache {
            let verified = Arc::clone(verified);
            cache.insert(
                token,
                Remembered {
                    generation,
                    verified,
                },
            );
        }
    }

    pub(crate) fn forget(&self, token: &TokenDigest) {
        if let Some(cache) = &self.cache {
            cache.remove(token);
        }
    }
}

//! The guard: whose token is in the header, and may its holder do this?

use std::sync::Arc;

use mortise_plugin_api::is_token;
use mortise_plugin_api::prelude::*;

use crate::config::Config;
use crate::issuer::{Issuer, Verified};
use crate::key_set::{Generation, KeySet};
use crate::memory::Memory;
use crate::refusal::{self, Refused};
use crate::rules::Rules;
use crate::token::{self, Token};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TokenGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    host: Host,
    header: String,
    scheme: String,
    issuers: Vec<Issuer>,
    rules: Rules,
    memory: Memory,
    generation: Arc<Generation>,
}

/// What a token comes to.
enum Judged<'g> {
    Known(Arc<Verified>),
    Refused(Refused),
    /// Its key is not here; it may be there when the set was read again.
    Unknown(Refused, &'g KeySet),
}

const MOST_REMEMBERED: usize = 1_000_000;

// === impl TokenGuard ===

impl TokenGuard {
    pub(crate) fn new(config: Config, host: Host) -> Result<Self> {
        let header = config.header.trim().to_ascii_lowercase();
        if !is_token(&header) {
            let message = format!("is {:?}, which is no name of a header", config.header);
            return Err(Error::config("/header", message));
        }
        if !config.scheme.is_empty() && !is_token(&config.scheme) {
            let message = format!("is {:?}, which is no scheme", config.scheme);
            return Err(Error::config("/scheme", message));
        }
        if config.remembered_tokens > MOST_REMEMBERED {
            let message = format!("is more than {MOST_REMEMBERED}");
            return Err(Error::config("/remembered_tokens", message));
        }
        let generation = Arc::default();
        Ok(Self {
            inner: Arc::new(Inner {
                host,
                header,
                scheme: config.scheme,
                issuers: Issuer::all(&config.issuers, &generation)?,
                rules: Rules::new(config.rules)?,
                memory: Memory::new(config.remembered_tokens),
                generation,
            }),
        })
    }

    /// The key sets that somebody must read.
    pub(crate) fn key_sets(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        self.inner.issuers.iter().filter_map(Issuer::key_set)
    }
}

impl Hook for TokenGuard {
    fn info(&self) -> HookInfo {
        let info = HookInfo::new("jwt")
            .on(Stage::Guard)
            .authenticates_by(&[&self.inner.header]);
        // Only a key set may have to be waited for.
        if self.key_sets().next().is_none() {
            info.answers_at_once()
        } else {
            info
        }
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        let inner = &*self.inner;
        match inner.presented(request) {
            Ok(None) => Ok(GuardVerdict::NoCredentials),
            Err(refused) => refuse(request, &refused),
            Ok(Some(token)) => match inner.judge(token) {
                Judged::Known(verified) => inner.decide(request, &verified),
                Judged::Refused(refused) | Judged::Unknown(refused, _) => refuse(request, &refused),
            },
        }
    }

    async fn guard(&self, request: Request) -> Result<GuardVerdict> {
        let inner = &*self.inner;
        let token = match inner.presented(&request) {
            Ok(None) => return Ok(GuardVerdict::NoCredentials),
            Err(refused) => return refuse(&request, &refused),
            Ok(Some(token)) => token,
        };
        let judged = match inner.judge(token) {
            Judged::Unknown(refused, set) => {
                if set.read_again().await {
                    inner.judge(token)
                } else {
                    Judged::Refused(refused)
                }
            }
            judged => judged,
        };
        match judged {
            Judged::Known(verified) => inner.decide(&request, &verified),
            Judged::Refused(refused) | Judged::Unknown(refused, _) => refuse(&request, &refused),
        }
    }
}

fn refuse(request: &Request, refused: &Refused) -> Result<GuardVerdict> {
    tracing::debug!(request = request.id(), reason = %refused, "a token is refused");
    match refused {
        Refused::NoKeysYet => refusal::unavailable(),
        _ => refusal::invalid_token(),
    }
}

// === impl Inner ===

impl Inner {
    /// The token of the request; `None` where there is none of our scheme.
    fn presented<'r>(&self, request: &'r Request) -> Result<Option<&'r [u8]>, Refused> {
        let mut values = request
            .headers()
            .into_iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(&self.header))
            .map(|(_, value)| value);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        // Which one counts would be a guess, and others on the way may guess differently.
        if values.next().is_some() {
            return Err(Refused::SeveralHeaders);
        }
        if self.scheme.is_empty() {
            return Ok(Some(value).filter(|it| !it.is_empty()));
        }
        let end = value.iter().position(|it| matches!(it, b' ' | b'\t'));
        let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
        if !scheme.eq_ignore_ascii_case(self.scheme.as_bytes()) {
            return Ok(None);
        }
        match rest.split_first() {
            Some((b' ', token)) => Ok(Some(token)),
            _ => Err(Refused::Malformed),
        }
    }

    fn judge(&self, token: &[u8]) -> Judged<'_> {
        if token.len() > token::LONGEST {
            return Judged::Refused(Refused::TooLong);
        }
        let now = self.host.now_millis();
        let digest = Memory::digest(token);
        // Before the keys are looked at: what former keys verified must not count as new.
        let generation = self.generation.now();
        if let Some(known) = self.memory.recall(&digest, generation) {
            return match known.lifetime.check(now) {
                Ok(()) => Judged::Known(known),
                Err(refused) => {
                    self.memory.forget(&digest);
                    Judged::Refused(refused)
                }
            };
        }
        let token = match Token::parse(token) {
            Ok(token) => token,
            Err(refused) => return Judged::Refused(refused),
        };
        let Some(issuer) = self.issuers.iter().find(|it| it.is_named_by(&token)) else {
            return Judged::Refused(Refused::Issuer);
        };
        match issuer.verify(&token, now) {
            Ok(verified) => {
                let verified = Arc::new(verified);
                self.memory.remember(digest, generation, &verified);
                Judged::Known(verified)
            }
            Err(refused) => match issuer.key_set() {
                Some(set) if may_be_new(&refused, &token) => Judged::Unknown(refused, set),
                _ => Judged::Refused(refused),
            },
        }
    }

    fn decide(&self, request: &Request, verified: &Verified) -> Result<GuardVerdict> {
        let missing = self.rules.missing(request, &verified.principal);
        if missing.is_empty() {
            Ok(GuardVerdict::Authenticated(verified.principal.clone()))
        } else {
            refusal::insufficient_scope(&missing)
        }
    }
}

/// Whether the key of a token may be one that the issuer has published since.
fn may_be_new(refused: &Refused, token: &Token<'_>) -> bool {
    match refused {
        Refused::NoKeysYet => true,
        Refused::UnknownKey => token.header.key_id.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

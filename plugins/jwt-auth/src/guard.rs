//! The guard: whose token is in the header, and may its holder do this?

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::config::{Config, ConfigError};
use crate::issuer::{Issuer, Verified};
use crate::memory::Memory;
use crate::refusal::{self, Refused};
use crate::rules::Rules;
use crate::token::{self, Token};

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
}

const MOST_REMEMBERED: usize = 1_000_000;

// === impl TokenGuard ===

impl TokenGuard {
    pub(crate) fn new(config: Config, host: Host) -> Result<Self, ConfigError> {
        let header = config.header.trim().to_ascii_lowercase();
        if !is_word(&header) {
            return Err(ConfigError::Header(config.header));
        }
        if !config.scheme.is_empty() && !is_word(&config.scheme) {
            return Err(ConfigError::Scheme(config.scheme));
        }
        if config.remembered_tokens > MOST_REMEMBERED {
            return Err(ConfigError::RememberedTokens);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                host,
                header,
                scheme: config.scheme,
                issuers: Issuer::all(&config.issuers)?,
                rules: Rules::new(config.rules)?,
                memory: Memory::new(config.remembered_tokens),
            }),
        })
    }
}

impl Hook for TokenGuard {
    fn info(&self) -> HookInfo {
        HookInfo::new("jwt")
            .on(Stage::Guard)
            .authenticates()
            .answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        let inner = &*self.inner;
        let verified = match inner.presented(request) {
            Ok(Some(token)) => inner.verify(token),
            Ok(None) => return Ok(GuardVerdict::NoCredentials),
            Err(refused) => Err(refused),
        };
        match verified {
            Ok(verified) => inner.decide(request, &verified),
            Err(refused) => {
                tracing::debug!(request = request.id(), reason = %refused, "a token is refused");
                refusal::invalid_token()
            }
        }
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

    fn verify(&self, token: &[u8]) -> Result<Arc<Verified>, Refused> {
        if token.len() > token::LONGEST {
            return Err(Refused::TooLong);
        }
        let now = self.host.now_millis();
        let digest = Memory::digest(token);
        let generation = 0;
        if let Some(known) = self.memory.recall(&digest, generation) {
            return match known.lifetime.check(now) {
                Ok(()) => Ok(known),
                Err(refused) => {
                    self.memory.forget(&digest);
                    Err(refused)
                }
            };
        }
        let token = Token::parse(token)?;
        let issuer = self.issuers.iter().find(|it| it.is_named_by(&token));
        let verified = issuer.ok_or(Refused::Issuer)?.verify(&token, now)?;
        let verified = Arc::new(verified);
        self.memory.remember(digest, generation, &verified);
        Ok(verified)
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

/// Whether a text may stand for a header or a scheme.
fn is_word(text: &str) -> bool {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(belongs)
}

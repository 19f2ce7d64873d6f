//! Somebody whose tokens are accepted: the keys, and what their tokens must say.

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::{Principal, Span};

use crate::algorithm::{Algorithm, Family};
use crate::claims::{ClaimRules, Lifetime, Tenant};
use crate::config::{ConfigError, IssuerConfig, JwksConfig, KeyConfig};
use crate::key::Key;
use crate::key_set::{Generation, KeySet, Settings};
use crate::keyring::Keyring;
use crate::refusal::Refused;
use crate::source::Place;
use crate::token::{Header, Token};

/// Somebody who signs tokens.
#[derive(Debug)]
pub(crate) struct Issuer {
    keys: Keyring,
    key_set: Option<Arc<KeySet>>,
    types: Vec<String>,
    claims: ClaimRules,
}

/// Who holds a token, and how long it is good.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) principal: Principal,
    pub(crate) lifetime: Lifetime,
}

/// The clocks of two servers are not further apart than that, or something is broken.
const LONGEST_LEEWAY_MILLIS: u128 = 5 * 60 * 1000;

// === impl Issuer ===

impl Issuer {
    /// The issuers of a configuration.
    pub(crate) fn all(
        configs: &[IssuerConfig],
        generation: &Arc<Generation>,
    ) -> Result<Vec<Self>, ConfigError> {
        if configs.is_empty() {
            return Err(ConfigError::NoIssuers);
        }
        for (second, config) in configs.iter().enumerate() {
            if config.issuer.is_empty() && configs.len() > 1 {
                return Err(ConfigError::NamelessIssuer(second));
            }
            for (first, before) in configs[..second].iter().enumerate() {
                if before.issuer == config.issuer {
                    return Err(ConfigError::SameIssuer { first, second });
                }
                let (one, other) = (&before.subject_prefix, &config.subject_prefix);
                if one.starts_with(other.as_str()) || other.starts_with(one.as_str()) {
                    return Err(ConfigError::SamePrefix { first, second });
                }
            }
        }
        configs
            .iter()
            .enumerate()
            .map(|(place, config)| Self::new(place, config, generation))
            .collect()
    }

    fn new(
        place: usize,
        config: &IssuerConfig,
        generation: &Arc<Generation>,
    ) -> Result<Self, ConfigError> {
        if config.keys.is_empty() && config.jwks.is_none() {
            return Err(ConfigError::NoKeys(place));
        }
        for (name, value) in [
            ("subject_claim", &config.subject_claim),
            ("scopes_claim", &config.scopes_claim),
            ("tenant", &config.tenant),
        ] {
            if value.trim().is_empty() {
                return Err(ConfigError::Blank(place, name));
            }
        }
        let leeway = config.leeway.0.as_millis();
        let leeway_millis = u64::try_from(leeway)
            .ok()
            .filter(|_| leeway <= LONGEST_LEEWAY_MILLIS)
            .ok_or(ConfigError::Leeway(place))?;
        Ok(Self {
            keys: Keyring::new(keys(place, &config.keys)?),
            key_set: match &config.jwks {
                None => None,
                Some(jwks) => {
                    let settings = settings(place, jwks)?;
                    Some(Arc::new(KeySet::new(settings, Arc::clone(generation))))
                }
            },
            types: config.types.clone(),
            claims: ClaimRules {
                issuer: Some(config.issuer.clone()).filter(|it| !it.is_empty()),
                audience: config.audience.clone(),
                required: config.required.clone(),
                leeway_millis,
                subject_claim: config.subject_claim.clone(),
                subject_prefix: config.subject_prefix.clone(),
                tenant: if config.tenant_claim.is_empty() {
                    Tenant::Fixed(config.tenant.clone())
                } else {
                    Tenant::Claim(config.tenant_claim.clone())
                },
                scopes_claim: config.scopes_claim.clone(),
                kept: config.claims.clone(),
            },
        })
    }

    /// Whether the token says that it is from here. That is not believed, but chooses the keys.
    pub(crate) fn is_named_by(&self, token: &Token<'_>) -> bool {
        let Some(own) = &self.claims.issuer else {
            return true;
        };
        token.claims.get("iss").and_then(|it| it.as_str()) == Some(own)
    }

    /// The keys that the issuer publishes.
    pub(crate) fn key_set(&self) -> Option<&Arc<KeySet>> {
        self.key_set.as_ref()
    }

    /// Checks everything about a token.
    pub(crate) fn verify(&self, token: &Token<'_>, now_millis: u64) -> Result<Verified, Refused> {
        self.check_kind(&token.header)?;
        self.check_signature(token)?;
        let lifetime = self.claims.lifetime(&token.claims)?;
        lifetime.check(now_millis)?;
        Ok(Verified {
            principal: self.claims.principal(&token.claims)?,
            lifetime,
        })
    }

    fn check_signature(&self, token: &Token<'_>) -> Result<(), Refused> {
        let by_configured = self.keys.verify(token);
        match &self.key_set {
            Some(set) if by_configured.is_err() => match set.keys() {
                Some(keys) => keys.verify(token),
                None => Err(Refused::NoKeysYet),
            },
            _ => by_configured,
        }
    }

    fn check_kind(&self, header: &Header) -> Result<(), Refused> {
        if self.types.is_empty() {
            return Ok(());
        }
        let kind = header.kind.as_deref().ok_or(Refused::Kind)?;
        let kind = kind.strip_prefix("application/").unwrap_or(kind);
        if self.types.iter().any(|own| own.eq_ignore_ascii_case(kind)) {
            Ok(())
        } else {
            Err(Refused::Kind)
        }
    }
}

fn settings(issuer: usize, config: &JwksConfig) -> Result<Settings, ConfigError> {
    let place = Place::parse(&config.url);
    let place = place.map_err(|source| ConfigError::Place { issuer, source })?;
    if config.algorithms.is_empty() {
        return Err(ConfigError::NoSetAlgorithms(issuer));
    }
    let secret = |it: &&_| matches!(Algorithm::family(**it), Family::Secret);
    if let Some(&algorithm) = config.algorithms.iter().find(secret) {
        return Err(ConfigError::SecretInSet(issuer, algorithm));
    }
    let period = |key, span: Span, least, most| {
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        if (least..=most).contains(&span.0) {
            Ok(span.0)
        } else {
            Err(ConfigError::Period {
                issuer,
                key,
                least,
                most,
            })
        }
    };
    Ok(Settings {
        place,
        ca: config.ca.clone(),
        algorithms: config.algorithms.clone(),
        refresh: period("refresh", config.refresh, 10, 24 * 3600)?,
        cooldown: period("cooldown", config.cooldown, 1, 24 * 3600)?,
        timeout: period("timeout", config.timeout, 1, 9)?,
    })
}

fn keys(issuer: usize, configs: &[KeyConfig]) -> Result<Vec<Key>, ConfigError> {
    let mut keys: Vec<Key> = Vec::with_capacity(configs.len());
    for (place, config) in configs.iter().enumerate() {
        if config.algorithms.is_empty() {
            return Err(ConfigError::NoAlgorithms { issuer, key: place });
        }
        let id = config.id.clone().filter(|id| !id.is_empty());
        let key = match (&config.secret, &config.key) {
            (Some(secret), None) => Key::from_secret(id, secret.trim(), &config.algorithms),
            (None, Some(key)) => Key::from_text(id, key, &config.algorithms),
            _ => return Err(ConfigError::SecretOrKey { issuer, key: place }),
        };
        let key = key.map_err(|source| ConfigError::Key {
            issuer,
            key: place,
            source,
        })?;
        let same = keys
            .iter()
            .position(|before| before.id.is_some() && before.id == key.id);
        if let Some(first) = same {
            return Err(ConfigError::SameKeyId {
                issuer,
                first,
                second: place,
            });
        }
        keys.push(key);
    }
    Ok(keys)
}

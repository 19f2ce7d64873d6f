//! Somebody whose tokens are accepted: the keys, and what their tokens must say.

use mortise_plugin_api::Principal;

use crate::claims::{ClaimRules, Lifetime, Tenant};
use crate::config::{ConfigError, IssuerConfig, KeyConfig};
use crate::key::Key;
use crate::keyring::Keyring;
use crate::refusal::Refused;
use crate::token::{Header, Token};

/// Somebody who signs tokens.
#[derive(Debug)]
pub(crate) struct Issuer {
    keys: Keyring,
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
    pub(crate) fn all(configs: &[IssuerConfig]) -> Result<Vec<Self>, ConfigError> {
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
            .map(|(place, config)| Self::new(place, config))
            .collect()
    }

    fn new(place: usize, config: &IssuerConfig) -> Result<Self, ConfigError> {
        if config.keys.is_empty() {
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

    /// Checks everything about a token.
    pub(crate) fn verify(&self, token: &Token<'_>, now_millis: u64) -> Result<Verified, Refused> {
        self.check_kind(&token.header)?;
        self.keys.verify(token)?;
        let lifetime = self.claims.lifetime(&token.claims)?;
        lifetime.check(now_millis)?;
        Ok(Verified {
            principal: self.claims.principal(&token.claims)?,
            lifetime,
        })
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

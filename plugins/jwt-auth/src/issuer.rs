//! Somebody whose tokens are accepted: the keys, and what their tokens must say.

use std::sync::Arc;

use mortise_plugin_api::{Error, Principal, Result, Span};

use crate::algorithm::{Algorithm, Family};
use crate::claims::{ClaimRules, Lifetime, Tenant};
use crate::config::{IssuerConfig, JwksConfig, KeyConfig};
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
const NO_ALGORITHMS: &str = "is empty; name those that are allowed";

// === impl Issuer ===

impl Issuer {
    /// The issuers of a configuration.
    pub(crate) fn all(configs: &[IssuerConfig], generation: &Arc<Generation>) -> Result<Vec<Self>> {
        if configs.is_empty() {
            let message = "is empty: without an issuer nobody could come in";
            return Err(Error::config("/issuers", message));
        }
        for (second, config) in configs.iter().enumerate() {
            if config.issuer.is_empty() && configs.len() > 1 {
                let message = "is empty; that is for an issuer without others beside it";
                return Err(wrong(second, "issuer", message));
            }
            for (first, before) in configs[..second].iter().enumerate() {
                if before.issuer == config.issuer {
                    let message = format!("is the same as issuers.{first}.issuer");
                    return Err(wrong(second, "issuer", message));
                }
                let (one, other) = (&before.subject_prefix, &config.subject_prefix);
                if one.starts_with(other.as_str()) || other.starts_with(one.as_str()) {
                    let message = format!(
                        "and issuers.{first}.subject_prefix begin alike: subjects of the two could \
                         not be told apart; say two such as \"a:\" and \"b:\""
                    );
                    return Err(wrong(second, "subject_prefix", message));
                }
            }
        }
        configs
            .iter()
            .enumerate()
            .map(|(place, config)| Self::new(place, config, generation))
            .collect()
    }

    fn new(place: usize, config: &IssuerConfig, generation: &Arc<Generation>) -> Result<Self> {
        if config.keys.is_empty() && config.jwks.is_none() {
            let message = "has neither `keys` nor `jwks`: no token could be verified";
            return Err(Error::config(format!("/issuers/{place}"), message));
        }
        for (name, value) in [
            ("subject_claim", &config.subject_claim),
            ("scopes_claim", &config.scopes_claim),
            ("tenant", &config.tenant),
        ] {
            if value.trim().is_empty() {
                return Err(wrong(place, name, "is blank"));
            }
        }
        let leeway = config.leeway.0.as_millis();
        let leeway_millis = u64::try_from(leeway)
            .ok()
            .filter(|_| leeway <= LONGEST_LEEWAY_MILLIS)
            .ok_or_else(|| wrong(place, "leeway", "is longer than five minutes"))?;
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

/// What is wrong with a setting of an issuer.
fn wrong(issuer: usize, setting: &str, message: impl Into<String>) -> Error {
    Error::config(format!("/issuers/{issuer}/{setting}"), message)
}

fn settings(issuer: usize, config: &JwksConfig) -> Result<Settings> {
    let place = Place::parse(&config.url);
    let place = place.map_err(|error| wrong(issuer, "jwks/url", error.to_string()))?;
    if config.algorithms.is_empty() {
        return Err(wrong(issuer, "jwks/algorithms", NO_ALGORITHMS));
    }
    let secret = |it: &&_| matches!(Algorithm::family(**it), Family::Secret);
    if let Some(&algorithm) = config.algorithms.iter().find(secret) {
        let message = format!("has {algorithm}, and a set that is read is no secret");
        return Err(wrong(issuer, "jwks/algorithms", message));
    }
    let period = |setting: &str, span: Span, least, most| {
        let range = Span::from_secs(least)..=Span::from_secs(most);
        span.within(&format!("/issuers/{issuer}/jwks/{setting}"), range)
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

fn keys(issuer: usize, configs: &[KeyConfig]) -> Result<Vec<Key>> {
    let mut keys: Vec<Key> = Vec::with_capacity(configs.len());
    for (place, config) in configs.iter().enumerate() {
        if config.algorithms.is_empty() {
            return Err(wrong(
                issuer,
                &format!("keys/{place}/algorithms"),
                NO_ALGORITHMS,
            ));
        }
        let unusable = |message: String| wrong(issuer, &format!("keys/{place}"), message);
        let id = config.id.clone().filter(|id| !id.is_empty());
        let key = match (&config.secret, &config.key) {
            (Some(secret), None) => Key::from_secret(id, secret.0.trim(), &config.algorithms),
            (None, Some(key)) => Key::from_text(id, &key.0, &config.algorithms),
            _ => return Err(unusable("needs one of `secret` and `key`".to_owned())),
        };
        let key = key.map_err(|error| unusable(format!("cannot be used: {error}")))?;
        let same = keys
            .iter()
            .position(|before| before.id.is_some() && before.id == key.id);
        if let Some(first) = same {
            let message = format!("is the same as that of keys.{first}");
            return Err(wrong(issuer, &format!("keys/{place}/id"), message));
        }
        keys.push(key);
    }
    Ok(keys)
}

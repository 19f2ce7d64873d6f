//! What a token says of its holder, and what of that is accepted.

use mortise_plugin_api::Principal;
use mortise_plugin_api::pointer::unescaped;
use mortise_plugin_api::serde_json::{Map, Value};

use crate::refusal::Refused;

/// The claims that are asked for, and where the principal stands in them.
#[derive(Debug)]
pub(crate) struct ClaimRules {
    /// The `iss` that is accepted; `None` where it is not looked at.
    pub(crate) issuer: Option<String>,
    /// The `aud` that are accepted; empty where a token must have none.
    pub(crate) audience: Vec<String>,
    pub(crate) required: Vec<String>,
    pub(crate) leeway_millis: u64,
    pub(crate) subject_claim: String,
    pub(crate) subject_prefix: String,
    pub(crate) tenant: Tenant,
    pub(crate) scopes_claim: String,
    /// The claims that the principal keeps.
    pub(crate) kept: Vec<String>,
}

/// Where the tenant comes from.
#[derive(Debug)]
pub(crate) enum Tenant {
    Fixed(String),
    Claim(String),
}

/// From when until when a token is good, leeway included, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    from: u64,
    until: u64,
}

/// The end of the year 9999: a number behind it is no time, or one in milliseconds.
const LAST_SECOND: u64 = 253_402_300_799;

/// Longer than any name of a user or an organisation.
const LONGEST_NAME: usize = 256;

// === impl ClaimRules ===

impl ClaimRules {
    /// When the token is good.
    pub(crate) fn lifetime(&self, claims: &Map<String, Value>) -> Result<Lifetime, Refused> {
        let expires = time(claims, "exp")?.ok_or_else(|| Refused::Missing("exp".to_owned()))?;
        let not_before = time(claims, "nbf")?.unwrap_or(0);
        let issued_at = time(claims, "iat")?.unwrap_or(0);
        Ok(Lifetime {
            from: not_before.max(issued_at).saturating_sub(self.leeway_millis),
            until: expires.saturating_add(self.leeway_millis),
        })
    }

    /// Who holds the token.
    pub(crate) fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, Refused> {
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        for name in &self.required {
            match claim(claims, name) {
                None | Some(Value::Null) => return Err(Refused::Missing(name.clone())),
                Some(_) => {}
            }
        }
        let subject = name_in(claims, &self.subject_claim)?;
        let tenant = match &self.tenant {
            Tenant::Fixed(tenant) => tenant,
            Tenant::Claim(claim) => name_in(claims, claim)?,
        };
        let mut principal =
            Principal::new(format!("{}{subject}", self.subject_prefix)).with_tenant(tenant);
        // Who holds the server's secret, and who holds nothing, are no users of an issuer.
        if principal == Principal::operator() || principal == Principal::anonymous() {
            return Err(Refused::Unfit(self.subject_claim.clone()));
        }
        principal.scopes = scopes(claims, &self.scopes_claim)?;
        for name in &self.kept {
            if let Some(value) = claim(claims, name) {
                principal.claims.insert(name.clone(), value.clone());
            }
        }
        Ok(principal)
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refused> {
        let Some(expected) = &self.issuer else {
            return Ok(());
        };
        match claims.get("iss") {
            Some(Value::String(issuer)) if issuer == expected => Ok(()),
            _ => Err(Refused::Issuer),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refused> {
        let is_ours = |text: &str| self.audience.iter().any(|own| own == text);
        let accepted = match claims.get("aud") {
            None => self.audience.is_empty(),
            Some(Value::String(audience)) => is_ours(audience),
            // A list with anything but texts in it is no audience, even if one of them is ours.
            Some(Value::Array(audiences)) => {
                audiences.iter().all(Value::is_string)
                    && audiences.iter().filter_map(Value::as_str).any(is_ours)
            }
            Some(_) => false,
        };
        if accepted {
            Ok(())
        } else {
            Err(Refused::Audience)
        }
    }
}

// === impl Lifetime ===

impl Lifetime {
    pub(crate) fn check(self, now_millis: u64) -> Result<(), Refused> {
        if now_millis >= self.until {
            Err(Refused::Expired)
        } else if now_millis < self.from {
            Err(Refused::NotYet)
        } else {
            Ok(())
        }
    }
}

/// A claim by its name, or by a pointer such as `/realm_access/roles`.
fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let Some(pointer) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = match pointer.find('/') {
        Some(at) => pointer.split_at(at),
        None => (pointer, ""),
    };
    claims.get(&unescaped(first))?.pointer(rest)
}

/// A time in seconds since 1970, which may have a fraction; told in milliseconds.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refused> {
    let unfit = || Refused::Unfit(name.to_owned());
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_u64() {
        return if seconds <= LAST_SECOND {
            Ok(Some(seconds * 1000))
        } else {
            Err(unfit())
        };
    }
    let seconds = value.as_f64().ok_or_else(unfit)?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both ends are whole numbers far below 2^53"
    )]
    if (0.0..=LAST_SECOND as f64).contains(&seconds) {
        Ok(Some((seconds * 1000.0) as u64))
    } else {
        Err(unfit())
    }
}

/// The name of somebody: text that can stand in a log line.
fn name_in<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<&'c str, Refused> {
    let value = claim(claims, name).ok_or_else(|| Refused::Missing(name.to_owned()))?;
    match value.as_str() {
        Some(text)
            if !text.trim().is_empty()
                && text.len() <= LONGEST_NAME
                && !text.chars().any(char::is_control) =>
        {
            Ok(text)
        }
        _ => Err(Refused::Unfit(name.to_owned())),
    }
}

/// One text with spaces between the scopes, or a list of them; none where there is no claim.
fn scopes(claims: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refused> {
    let unfit = || Refused::Unfit(name.to_owned());
    match claim(claims, name) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split_ascii_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(scopes)) => scopes
            .iter()
            .map(|it| it.as_str().map(str::to_owned).ok_or_else(unfit))
            .collect(),
        Some(_) => Err(unfit()),
    }
}

//! Who is asking.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who is asking. Two principals are the same when tenant and subject are, whoever set them.
///
/// As JSON it has a subject; without one it is no principal, rather than an anonymous one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Principal {
    /// The organisation.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// The user or machine in it.
    pub subject: String,
    /// What it may do, such as `runs:approve`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What else the credential says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

pub(crate) fn default_tenant() -> String {
    Principal::DEFAULT_TENANT.to_owned()
}

// === impl Principal ===

impl Principal {
    /// The tenant where nothing else is said.
    pub const DEFAULT_TENANT: &'static str = "default";

    /// A principal of the default tenant.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            ..Self::default()
        }
    }

    /// Nobody in particular: no credential was asked for.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Who asks in a request or a run of which that cannot be read: equal to nobody else, so that
    /// it owns nothing and is not [shared](Self::is_shared).
    pub(crate) fn unreadable(id: &str) -> Self {
        Self::new(format!("unreadable {id}")).with_tenant("\0")
    }

    /// Whoever holds the server's secret.
    pub fn operator() -> Self {
        Self::new("operator")
    }

    /// The same subject in another tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Adds a scope.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Whether this is nobody in particular: no credential was asked for, or one that all share.
    pub fn is_shared(&self) -> bool {
        *self == Self::anonymous() || *self == Self::operator()
    }

    /// As whom something new begins: under a credential that all share, the user whom the body
    /// names; a credential of one's own is never overridden.
    #[must_use]
    pub fn or_user(self, user: Option<String>) -> Self {
        match user.filter(|user| self.is_shared() && !user.trim().is_empty()) {
            Some(user) => Self::new(user),
            None => self,
        }
    }

    /// As whom it acts on what belongs to an owner: whoever shares a credential acts as the owner.
    #[must_use]
    pub fn acting_for(self, owner: &Self) -> Self {
        if self.is_shared() {
            owner.clone()
        } else {
            self
        }
    }

    /// Whether it has this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}

impl Default for Principal {
    fn default() -> Self {
        Self {
            tenant: default_tenant(),
            subject: "anonymous".into(),
            scopes: Vec::new(),
            claims: Map::new(),
        }
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.subject == other.subject
    }
}

impl Eq for Principal {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_principal_without_a_subject_is_none() {
        let read = serde_json::from_value::<Principal>;
        assert_eq!(
            read(json!({ "subject": "ann" })).unwrap(),
            Principal::new("ann")
        );
        assert!(read(json!({})).is_err());
        assert!(read(json!({ "tenant": "acme" })).is_err());
    }

    #[test]
    fn principals_are_equal_by_tenant_and_subject_alone() {
        assert_eq!(Principal::new("ann").with_scope("x"), Principal::new("ann"));
        assert_ne!(
            Principal::new("ann").with_tenant("acme"),
            Principal::new("ann")
        );
    }
}

//! The `[quota]` section: how much somebody may use in a day.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Money;

/// How much each principal may use in a day of UTC; what is unset has no limit.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Quota {
    /// How many runs may begin.
    #[schemars(range(min = 1))]
    pub runs_per_day: Option<u64>,
    /// How many tokens models may read and write. The answer that reaches the limit is the last.
    #[schemars(range(min = 1))]
    pub tokens_per_day: Option<u64>,
    /// How much models may cost, by `[prices]`. The answer that reaches the limit is the last.
    pub cost_per_day: Option<Money>,
    /// Principals with limits of their own, in place of these.
    pub principals: Vec<PrincipalQuota>,
}

/// How much one principal may use in a day of UTC; what is unset has no limit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PrincipalQuota {
    /// The tenant.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// The subject.
    pub subject: String,
    /// How many runs may begin.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub runs_per_day: Option<u64>,
    /// How many tokens models may read and write.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub tokens_per_day: Option<u64>,
    /// How much models may cost.
    #[serde(default)]
    pub cost_per_day: Option<Money>,
}

fn default_tenant() -> String {
    "default".to_owned()
}

// === impl Quota ===

impl Quota {
    /// Whether anybody is limited.
    pub fn is_set(&self) -> bool {
        !self.principals.is_empty()
            || self.runs_per_day.is_some()
            || self.tokens_per_day.is_some()
            || self.cost_per_day.is_some()
    }
}

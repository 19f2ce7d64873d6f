//! The `[prices]` section: what the tokens of a model cost.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Money;

/// What a million tokens of a model cost. The currency is up to you, and the same for all models.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Price {
    /// A million tokens that the model reads.
    pub input: Money,
    /// A million tokens that the provider had in its cache. Unset means the price of `input`.
    #[serde(default)]
    pub cached_input: Option<Money>,
    /// A million tokens that the model writes, reasoning included.
    pub output: Money,
}

//! JSON Schema: that of the SDK, which plugins check values with too; and the JSON pointers that say
//! where.

pub(crate) use mortise_plugin_api::pointer::{escaped, unescaped};
pub(crate) use mortise_plugin_api::schema::{Issue, Schema, SchemaError};

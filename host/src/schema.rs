//! JSON Schema: that of the SDK, which plugins check values with too.

pub(crate) use mortise_plugin_api::schema::{Issue, Schema, SchemaError};

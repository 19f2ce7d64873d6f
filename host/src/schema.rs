//! JSON Schema: that of the SDK, which plugins check values with too; and the JSON pointers that say
//! where.

pub(crate) use mortise_plugin_api::schema::{Issue, Schema, SchemaError};

/// A key as a segment of a JSON pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

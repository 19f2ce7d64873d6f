//! The routes, as OpenAPI describes them: `openapi.json` has all of it.

use std::sync::LazyLock;

use mortise_plugin_api::prelude::*;

static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("openapi.json")).expect("the file beside this one is JSON")
});

/// The operation with this summary.
pub(crate) fn operation(summary: &str) -> Value {
    let mut all = OPENAPI["operations"].as_array().into_iter().flatten();
    let found = all.find(|operation| operation["summary"] == summary);
    found
        .cloned()
        .expect("every endpoint has an operation of its summary, as all are registered at load")
}

/// What the operations refer to.
pub(crate) fn components() -> Value {
    OPENAPI["components"].clone()
}

//! The three routes, as OpenAPI describes them: `openapi.json` has all of it.

use std::sync::LazyLock;

use mortise_plugin_api::prelude::*;

static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("openapi.json")).expect("the file beside this one is JSON")
});

/// The operation of a route, such as `POST /chat`.
pub(crate) fn operation(route: &str, is_open: bool) -> Value {
    let mut operation = OPENAPI["operations"][route].clone();
    if !is_open {
        operation["security"] = json!([{ "token": [] }]);
    }
    operation
}

/// What the operations refer to.
pub(crate) fn components() -> Value {
    OPENAPI["components"].clone()
}

//! `GET /health`: whether the server answers.

use mortise_plugin_api::prelude::*;

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::get("/health", |_| async {
        Response::json(&json!({ "ok": true }))
    })
    .public()
    .operation(json!({
        "summary": "Whether the server answers",
        "tags": ["ops"],
        "responses": { "200": { "description": "It does" } },
    }))
}

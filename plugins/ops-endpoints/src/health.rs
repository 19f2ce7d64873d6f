//! `GET /health`: whether the server answers.

use mortise_plugin_api::prelude::*;

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::get("/health", |_| async {
        Response::json(&json!({ "ok": true }))
    })
    .public()
    .operation(json!({
        "operationId": "health",
        "summary": "Whether the server answers",
        "responses": {
            "200": {
                "description": "It does",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "required": ["ok"],
                    "properties": { "ok": { "const": true } },
                } } },
            },
        },
    }))
}

//! `POST /ops-raw`: how long a body is, without keeping it.

use mortise_plugin_api::prelude::*;

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::post("/ops-raw", measure).operation(json!({
        "operationId": "measure",
        "summary": "How many bytes were sent, and as what",
        "requestBody": {
            "content": { "*/*": {} },
        },
        "responses": {
            "200": {
                "description": "The length and the content type",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "required": ["bytes", "contentType"],
                    "properties": {
                        "bytes": { "type": "integer", "minimum": 0 },
                        "contentType": { "type": ["string", "null"] },
                    },
                } } },
            },
        },
    }))
}

async fn measure(mut call: EndpointCall) -> Result<Response> {
    let mut length: u64 = 0;
    while let Some(chunk) = call.body.next().await {
        length += chunk?.len() as u64;
    }
    Response::json(&json!({
        "bytes": length,
        "contentType": call.request.header("content-type"),
    }))
}

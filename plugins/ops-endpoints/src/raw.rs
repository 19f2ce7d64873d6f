//! `POST /ops-raw`: how long a body is, without keeping it.

use mortise_plugin_api::prelude::*;

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::post("/ops-raw", measure).operation(json!({
        "summary": "How many bytes were sent, and as what",
        "tags": ["ops"],
        "requestBody": {
            "content": { "*/*": { "schema": { "type": "string", "format": "binary" } } },
        },
        "responses": { "200": { "description": "The length and the content type" } },
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

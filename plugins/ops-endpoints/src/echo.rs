//! `GET` and `POST /ops/:thing`: what was asked for.

use mortise_plugin_api::prelude::*;

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::new(&["GET", "POST"], "/ops/:thing", echo).operation(json!({
        "operationId": "echo",
        "summary": "Says what was asked for",
        "parameters": [
            { "name": "thing", "in": "path", "required": true, "schema": { "type": "string" } },
            { "name": "q", "in": "query", "schema": { "type": "string" } },
        ],
        "responses": {
            "200": {
                "description": "The parameter, the query and the method",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "required": ["thing", "q", "method"],
                    "properties": {
                        "thing": { "type": "string" },
                        "q": { "type": ["string", "null"] },
                        "method": { "enum": ["GET", "POST"] },
                    },
                } } },
            },
        },
    }))
}

async fn echo(call: EndpointCall) -> Result<Response> {
    let request = &call.request;
    Response::json(&json!({
        "thing": request.param("thing"),
        "q": request.query_param("q"),
        "method": request.method(),
    }))
}

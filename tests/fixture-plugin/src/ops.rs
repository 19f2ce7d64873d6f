//! Endpoints: public, with a parameter, and failing with and without a code.

use mortise_plugin_api::prelude::*;

pub(crate) fn mount() -> Mount {
    Mount::at_base()
        .endpoint(
            Endpoint::get("/health", |_| async {
                Response::json(&json!({ "ok": true }))
            })
            .public(),
        )
        .endpoint(Endpoint::new(&["GET", "POST"], "/ops/:thing", thing))
        .endpoint(Endpoint::get("/ops-throw", |_| async {
            Err(Error::internal("endpoint exploded"))
        }))
        .endpoint(Endpoint::get("/ops-conflict", |_| async {
            Err(Error::new("CONFLICT", "Typed endpoint error").with_context("k", 1))
        }))
        .endpoint(Endpoint::get("/ops-lent", |_| async {
            Err(Error::new("BOOK_LENT", "The book is lent already.").with_status(409))
        }))
}

async fn thing(call: EndpointCall) -> Result<Response> {
    let request = &call.request;
    Response::json(&json!({
        "thing": request.param("thing"),
        "q": request.query_param("q"),
        "method": request.method(),
    }))
}

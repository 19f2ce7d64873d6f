//! Routes that let clients in by themselves, and say errors in their own form.

use mortise_plugin_api::prelude::*;

pub(crate) fn mount() -> Mount {
    Mount::absolute("/own")
        .authenticated_by(authenticate)
        .render_error(|error| {
            let said = Response::json(&json!({
                "own": { "status": error.status, "code": error.code, "message": error.message },
            }));
            said.unwrap_or_else(|_| Response::new(500))
                .with_status(error.status)
        })
        .endpoint(Endpoint::get("/who", |call| async move {
            Response::json(&json!(call.request.principal()))
        }))
        .endpoint(Endpoint::post("/json", |call| async move {
            if call.request.header("content-type") != Some("application/json") {
                return Err(Error::new("UNSUPPORTED_MEDIA_TYPE", "Only JSON."));
            }
            Response::json(&call.body.json::<Value>().await?)
        }))
        .endpoint(Endpoint::get("/throw", |_| async {
            Err(Error::internal("endpoint exploded"))
        }))
        .endpoint(Endpoint::get("/lent", |_| async {
            Err(Error::new("BOOK_LENT", "The book is lent already.").with_status(409))
        }))
        .endpoint(Endpoint::get("/open", |_| async { Ok(Response::text("open")) }).public())
}

/// The header `x-own` names who is asking.
async fn authenticate(request: Request) -> Result<GuardVerdict> {
    match request.header("x-own") {
        None => Ok(GuardVerdict::NoCredentials),
        Some("nobody") => Ok(GuardVerdict::Pass),
        Some("refuse") => GuardVerdict::refuse(402, "payment_required", "Not for free."),
        Some("fail") => Err(Error::internal("the door is stuck")),
        Some(name) => Ok(GuardVerdict::Authenticated(
            Principal::new(name).with_tenant("own"),
        )),
    }
}

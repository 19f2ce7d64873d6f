//! Counts through the server, waiting for its answer: two of each key in ten years.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

pub(crate) fn mount(host: &Host) -> Mount {
    let host = host.clone();
    Mount::at_base()
        .endpoint(Endpoint::post("/count/:key", move |call| count(host.clone(), call)).public())
}

async fn count(host: Host, call: EndpointCall) -> Result<Response> {
    let key = call.request.param("key").unwrap_or_default();
    let limit = Limit::window(2, Duration::from_secs(3650 * 24 * 60 * 60));
    Response::json(&host.take(key, limit, 1).await?)
}

//! Media of a request as parts of a message.

use mortise_plugin_api::prelude::*;

use crate::request::RunBody;
use crate::{Api, problem};

/// What the agent is told: the message alone, or with its media.
pub(crate) async fn input(api: &Api, body: &RunBody) -> Result<Value> {
    let media = body.media.as_deref().unwrap_or_default();
    if media.is_empty() {
        return Ok(body.message().into());
    }
    let mut parts = vec![Part::text(body.message())];
    for (place, medium) in media.iter().enumerate() {
        let wrong =
            |error: Error| problem::invalid(&format!("media[{place}].data"), error.message());
        let data = api.fetcher.base64(&medium.data()).await.map_err(wrong)?;
        parts.push(Part::media(&medium.mime, &data));
    }
    Ok(json!([Item::parts("user", parts)]))
}

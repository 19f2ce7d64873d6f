//! Media of a request as parts of a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mortise_plugin_api::prelude::*;

use crate::request::{Medium, RunBody};
use crate::{Api, problem};

/// What the agent is told: the message alone, or with its media.
pub(crate) async fn input(api: &Api, body: &RunBody) -> Result<Value> {
    let media = body.media.as_deref().unwrap_or_default();
    if media.is_empty() {
        return Ok(body.message.as_str().into());
    }
    let mut parts = vec![Part::text(&body.message)];
    for (place, medium) in media.iter().enumerate() {
        let data = base64_of(api, medium)
            .await
            .map_err(|message| problem::invalid(&format!("media[{place}].data"), &message))?;
        parts.push(Part::media(&medium.mime, &data));
    }
    Ok(json!([Item::parts("user", parts)]))
}

async fn base64_of(api: &Api, medium: &Medium) -> Result<String, String> {
    let data = medium.data.trim();
    if data.starts_with("http://") || data.starts_with("https://") {
        let fetched = api
            .fetcher
            .fetch(data)
            .await
            .map_err(|error| error.message().to_owned())?;
        return Ok(STANDARD.encode(fetched));
    }
    match STANDARD.decode(data) {
        Ok(bytes) if !bytes.is_empty() => Ok(data.to_owned()),
        _ => Err("is neither base64 nor an http address".to_owned()),
    }
}

//! Images, sounds and files in a message, as far as a provider's API can be handed them.

use genai::chat::{Binary, ContentPart};
use mortise_plugin_api::prelude::*;

use crate::api::Api;

/// A part that is neither text nor reasoning.
#[derive(Deserialize)]
struct Media {
    #[serde(rename = "type")]
    kind: String,
    source: Source,
    #[serde(rename = "mimeType")]
    mime_type: Option<String>,
    filename: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Source {
    Url {
        url: String,
    },
    Base64 {
        data: String,
        #[serde(rename = "mimeType")]
        mime_type: Option<String>,
    },
}

/// The part as genai takes it; nothing for one that no model is shown.
///
/// # Errors
/// `VALIDATION_FAILED` for one that this API has no place for: left out, the model would answer
/// about something that it has not seen.
pub(crate) fn part(api: Api, value: &Value) -> Result<Option<ContentPart>> {
    let kind = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !matches!(kind, "image" | "audio" | "video" | "file") {
        return Ok(None);
    }
    let refused =
        |why: &str| Error::invalid(format!("The model cannot be shown this {kind}: {why}."));
    let media: Media = serde_json::from_value(value.clone()).map_err(|_| {
        refused("its `source` is neither {\"kind\":\"url\",\"url\":…} nor {\"kind\":\"base64\",\"data\":…}")
    })?;
    let usual = match media.kind.as_str() {
        "image" => "image/png",
        "audio" => "audio/wav",
        "video" => "video/mp4",
        _ => "application/pdf",
    };
    let mime = |own: Option<String>| {
        own.or(media.mime_type.clone())
            .unwrap_or_else(|| usual.to_owned())
    };
    let by_url = match (api, kind) {
        (Api::OpenAI, "image" | "video") | (Api::Anthropic, "file") | (Api::Gemini, _) => true,
        (Api::OpenAI | Api::Anthropic | Api::Ollama, _) => false,
    };
    let binary = match media.source {
        Source::Url { .. } if !by_url => {
            return Err(refused("the provider takes it inline only, as base64"));
        }
        Source::Url { url } => Binary::from_url(mime(None), url, media.filename),
        Source::Base64 { data, mime_type } => {
            Binary::from_base64(mime(mime_type), data, media.filename)
        }
    };
    if api == Api::Ollama && !binary.is_image() {
        return Err(refused("Ollama takes images only"));
    }
    Ok(Some(ContentPart::Binary(binary)))
}

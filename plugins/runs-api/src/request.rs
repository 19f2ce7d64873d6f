//! What a request says: its body, checked, and who is asking.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::strict;

use crate::Api;
use crate::problem::{invalid, of_body};

/// The body of every request for a run. `orgId` is not read: the tenant is the principal's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunBody {
    pub(crate) message: String,
    #[serde(alias = "session_id")]
    pub(crate) session_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) generate_followups: Option<bool>,
    #[serde(default, deserialize_with = "strict::objects")]
    pub(crate) media: Option<Vec<Medium>>,
    #[serde(default, deserialize_with = "strict::object")]
    pub(crate) options: Option<Options>,
}

/// A picture, a sound or a file.
#[derive(Debug, Deserialize)]
pub(crate) struct Medium {
    /// Its MIME type.
    #[serde(rename = "type")]
    pub(crate) mime: String,
    /// Base64, or an address.
    pub(crate) data: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Options {
    pub(crate) model: Option<String>,
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "strict::whole_number")]
    max_tokens: Option<u32>,
}

// === impl RunBody ===

impl RunBody {
    /// Reads and checks it.
    pub(crate) async fn read(api: &Api, mut call: EndpointCall) -> Result<Self> {
        let body: Self = call.json().await.map_err(of_body)?;
        if body.message.trim().is_empty() {
            return Err(invalid("message", "must not be blank"));
        }
        let unfit =
            |id: &String| id.trim().is_empty() || id.len() > 255 || id.contains(char::is_control);
        if body.session_id.as_ref().is_some_and(unfit) {
            return Err(invalid("sessionId", "must be a text of at most 255 bytes"));
        }
        if let Some(options) = &body.options {
            options.check(&api.config.models)?;
        }
        Ok(body)
    }
}

impl Options {
    fn check(&self, models: &[String]) -> Result<()> {
        let is_unknown = |model: &String| {
            model.trim().is_empty() || !models.is_empty() && !models.contains(model)
        };
        let is_odd = |heat: &f64| !(0.0..=2.0).contains(heat);
        let wrong = if self.model.as_ref().is_some_and(is_unknown) {
            ("options.model", "is no model that may be chosen")
        } else if self.temperature.as_ref().is_some_and(is_odd) {
            ("options.temperature", "must be between 0 and 2")
        } else if self.max_tokens == Some(0) {
            ("options.maxTokens", "must be at least 1")
        } else {
            return Ok(());
        };
        Err(invalid(wrong.0, wrong.1))
    }
}

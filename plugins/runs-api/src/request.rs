//! What a request says: its body, checked, and who is asking.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::strict;

use crate::Api;
use crate::problem::{invalid, of_body};

/// The body of every request for a run. `orgId` is not read: the tenant is the principal's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunBody {
    #[serde(default)]
    message: Option<String>,
    pub(crate) session_id: Option<String>,
    /// The same, as some clients write it; the other one counts where there are both.
    #[serde(rename = "session_id")]
    other_session_id: Option<String>,
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
    data: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Options {
    pub(crate) model: Option<String>,
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "strict::whole_number")]
    max_tokens: Option<u32>,
}

/// A parameter of the path, as whoever wrote the path meant it.
pub(crate) fn param(call: &EndpointCall, name: &str) -> String {
    call.request.decoded_param(name).unwrap_or_default()
}

// === impl RunBody ===

impl RunBody {
    /// What the agent is asked.
    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// Reads and checks it.
    pub(crate) async fn read(api: &Api, mut call: EndpointCall) -> Result<Self> {
        let mut body: Self = call.json().await.map_err(of_body)?;
        match &body.message {
            None => return Err(invalid("message", "is required")),
            Some(message) if message.trim().is_empty() => {
                return Err(invalid("message", "must not be blank"));
            }
            Some(_) => {}
        }
        body.session_id = body.session_id.or(body.other_session_id.take());
        let is_long = |id: &String| id.len() > 255 || id.contains(char::is_control);
        let unfit = |id: &String| id.trim().is_empty() || is_long(id);
        if body.session_id.as_ref().is_some_and(unfit) {
            return Err(invalid("sessionId", "must be a text of at most 255 bytes"));
        }
        if body.user_id.as_ref().is_some_and(is_long) {
            return Err(invalid("userId", "must be a text of at most 255 bytes"));
        }
        for (place, medium) in body.media.iter().flatten().enumerate() {
            if !medium.has_type() {
                let field = format!("media[{place}].type");
                return Err(invalid(&field, "must be a MIME type, such as image/png"));
            }
        }
        if let Some(options) = &body.options {
            options.check(&api.config.models)?;
        }
        Ok(body)
    }
}

impl Medium {
    fn has_type(&self) -> bool {
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|it| it.is_ascii_graphic());
        let mut names = self.mime.split(';').next().unwrap_or_default().split('/');
        let (kind, format, more) = (names.next(), names.next(), names.next());
        kind.is_some_and(is_name) && format.is_some_and(is_name) && more.is_none()
    }

    /// What it holds: base64 may come in lines, and as the data of an address.
    pub(crate) fn data(&self) -> String {
        let data = self.data.trim();
        if data.contains("://") {
            return data.to_owned();
        }
        let address = data.strip_prefix("data:");
        let data = address.and_then(|address| address.split_once(";base64,"));
        let data = data.map_or(self.data.as_str(), |(_, data)| data);
        data.split_ascii_whitespace().collect()
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

//! What a request says: its body, checked, and who is asking.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::serde::Deserializer;
use mortise_plugin_api::serde::de::{DeserializeOwned, Error as _};
use mortise_plugin_api::serde_json::Map;

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
    #[serde(default, deserialize_with = "objects")]
    pub(crate) media: Option<Vec<Medium>>,
    #[serde(default, deserialize_with = "object")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(
        default,
        deserialize_with = "whole_number",
        skip_serializing_if = "Option::is_none"
    )]
    max_tokens: Option<u32>,
}

// === impl RunBody ===

impl RunBody {
    /// Reads and checks it.
    pub(crate) async fn read(api: &Api, call: EndpointCall) -> Result<Self> {
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

/// An object and nothing else: serde also takes a list, for its members in their order.
fn object<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let object = Option::<Map<String, Value>>::deserialize(from)?;
    let read = |object| T::deserialize(Value::Object(object)).map_err(D::Error::custom);
    object.map(read).transpose()
}

/// The same of each of a list.
fn objects<'de, T, D>(from: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let objects = Option::<Vec<Map<String, Value>>>::deserialize(from)?;
    let read = |object| T::deserialize(Value::Object(object)).map_err(D::Error::custom);
    objects
        .map(|objects| objects.into_iter().map(read).collect())
        .transpose()
}

/// JSON may write a whole number with a fraction of zero.
fn whole_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(from)? else {
        return Ok(None);
    };
    if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
        return Err(D::Error::custom(format!(
            "invalid value: `{number}`, expected a whole number from 1 to {}",
            u32::MAX
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was checked"
    )]
    Ok(Some(number as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_object() {
        let reads = |more: &str| {
            let body = format!(r#"{{"message":"hi",{more}}}"#);
            serde_json::from_str::<RunBody>(&body).is_ok()
        };
        assert!(reads(
            r#""options":{"model":null},"media":[{"type":"text/plain","data":"AAAA"}]"#
        ));
        assert!(reads(r#""options":null,"media":null"#));
        assert!(!reads(r#""options":[null,null]"#));
        assert!(!reads(r#""media":[["text/plain","AAAA"]]"#));
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        let tokens = |text: &str| {
            let options = serde_json::from_str::<Options>(text).ok();
            options.map(|options| options.max_tokens)
        };
        assert_eq!(tokens(r#"{"maxTokens":100.0}"#), Some(Some(100)));
        assert_eq!(tokens(r#"{"maxTokens":100}"#), Some(Some(100)));
        assert_eq!(tokens(r#"{"maxTokens":null}"#), Some(None));
        assert_eq!(tokens("{}"), Some(None));
        for odd in ["1.5", "-1", "4294967296", "\"1\""] {
            assert_eq!(tokens(&format!("{{\"maxTokens\":{odd}}}")), None, "{odd}");
        }
    }
}

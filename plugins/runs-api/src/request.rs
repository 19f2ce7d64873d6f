//! What a request says: its body, checked, and who is asking.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::serde::Deserializer;
use mortise_plugin_api::serde::de::{DeserializeOwned, Error as _};
use mortise_plugin_api::serde_json::Map;

use crate::problem;
use crate::{Api, Visibility};

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
        let body: Self = read_json(call).await?;
        if body.message.trim().is_empty() {
            return Err(problem::invalid("message", "must not be blank"));
        }
        if let Some(session) = &body.session_id {
            check_session(session)?;
        }
        if let Some(options) = &body.options {
            options.check(&api.config.models)?;
        }
        Ok(body)
    }
}

impl Options {
    fn check(&self, models: &[String]) -> Result<()> {
        let may_choose = |model: &String| {
            !model.trim().is_empty() && (models.is_empty() || models.contains(model))
        };
        if !self.model.as_ref().is_none_or(may_choose) {
            return Err(problem::invalid(
                "options.model",
                "is no model that may be chosen",
            ));
        }
        if self
            .temperature
            .is_some_and(|it| !(0.0..=2.0).contains(&it))
        {
            return Err(problem::invalid(
                "options.temperature",
                "must be between 0 and 2",
            ));
        }
        if self.max_tokens == Some(0) {
            return Err(problem::invalid("options.maxTokens", "must be at least 1"));
        }
        Ok(())
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

fn check_session(id: &str) -> Result<()> {
    if id.trim().is_empty() || id.len() > 255 || id.contains(char::is_control) {
        return Err(problem::invalid(
            "sessionId",
            "must be a text of at most 255 bytes",
        ));
    }
    Ok(())
}

/// A body that must be JSON of this form.
pub(crate) async fn read_json<T: DeserializeOwned>(call: EndpointCall) -> Result<T> {
    let kind = call.request.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "Content-Type must be application/json.";
        return Err(Error::new("UNSUPPORTED_MEDIA_TYPE", message));
    }
    // The server has a limit of its own.
    let bytes = call.body.bytes(usize::MAX).await?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|_| problem::malformed("The body is no JSON."))?;
    if !value.is_object() {
        return Err(problem::malformed("The body is no JSON object."));
    }
    serde_json::from_value(value).map_err(|error| {
        let message = error.to_string();
        // serde names the field that is missing or wrong between backticks, where it does.
        match message
            .split('`')
            .nth(1)
            .filter(|_| message.starts_with("missing"))
        {
            Some(field) => problem::invalid(field, "is required"),
            None => problem::malformed(format!("The body is not what is expected: {message}.")),
        }
    })
}

/// A path parameter.
pub(crate) fn param<'r>(request: &'r Request, name: &str) -> &'r str {
    request.param(name).unwrap_or_default()
}

pub(crate) fn caller(request: &Request) -> Principal {
    request.principal().unwrap_or_default()
}

/// Whether nobody in particular asks: there is no credential, or one that all share.
pub(crate) fn is_shared(caller: &Principal) -> bool {
    *caller == Principal::anonymous() || *caller == Principal::operator()
}

/// As whom a new session begins: under a shared secret, the user that the body names.
pub(crate) fn owner(caller: Principal, user: Option<String>) -> Principal {
    match user.filter(|user| is_shared(&caller) && !user.trim().is_empty()) {
        Some(user) => Principal::new(user),
        None => caller,
    }
}

/// As whom somebody acts on a run: whoever shares a secret acts as its owner.
pub(crate) fn acting(caller: Principal, owner: &Principal) -> Principal {
    if is_shared(&caller) {
        owner.clone()
    } else {
        caller
    }
}

impl Api {
    /// Whether this caller may see what belongs to that owner.
    pub(crate) fn may_see(&self, caller: &Principal, owner: &Principal) -> bool {
        let everybody = self.config.visibility == Visibility::Tenant || is_shared(caller);
        caller == owner || everybody && caller.tenant == owner.tenant
    }
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

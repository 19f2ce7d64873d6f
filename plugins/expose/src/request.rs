//! What a request asks: a payload and a parameter.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::serde_json::Map;

use crate::config::Exposed;

/// What an agent is asked.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) payload: Value,
    #[serde(default = "no_parameter")]
    pub(crate) parameter: Value,
}

fn no_parameter() -> Value {
    json!({})
}

impl Asked {
    pub(crate) async fn read(exposed: &Exposed, mut call: EndpointCall) -> Result<Self> {
        let parameter = parameter(exposed.path.names(), &call.request);
        let payload = if exposed.has_body() {
            call.content(&exposed.request_content_type).await?
        } else {
            Value::Null
        };
        Ok(Self { payload, parameter })
    }
}

/// The query, and over it what stands in the path.
fn parameter<'a>(names: impl Iterator<Item = &'a str>, request: &Request) -> Value {
    let in_path = names.map(|name| {
        let value = request.decoded_param(name).unwrap_or_default();
        (name.to_owned(), value)
    });
    let all = request.query_params().into_iter().chain(in_path);
    let all = all.map(|(name, value)| (name, value.into()));
    Value::Object(all.collect::<Map<_, _>>())
}

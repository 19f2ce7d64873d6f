//! A time as it stands in the configuration.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

/// A time such as `500ms`, `30s`, `5m` or `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time such as 500ms, 30s, 5m or 1h");
        let at = text
            .find(|it: char| !it.is_ascii_digit())
            .ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        Ok(Self(Duration::from_millis(
            u64::from(number) * milliseconds,
        )))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })
    }
}

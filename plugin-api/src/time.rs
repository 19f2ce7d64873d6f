//! Times as configuration and clients read them.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::error::{Error, Result};

/// A time in a `config` table, such as `500ms`, `30s`, `5m`, `1h` or `2days`.
///
/// ```
/// use std::time::Duration;
///
/// use mortise_plugin_api::Span;
///
/// let span: Span = serde_json::from_str("\"5m\"").unwrap();
/// assert_eq!(span.0, Duration::from_secs(300));
/// assert_eq!(span.to_string(), "5m");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// No later time than the year 9999 can be written.
const END_OF_TIME: u64 = 253_402_300_799_999;

/// A time in milliseconds since 1970 as RFC 3339 writes it.
pub fn rfc3339(millis: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(millis.min(END_OF_TIME));
    humantime::format_rfc3339_millis(time).to_string()
}

/// A duration as it crosses and is stored; one that is too long is the longest there is.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// === impl Span ===

impl Span {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The time, if it is in the range.
    ///
    /// # Errors
    /// `CONFIG` at `path` where it is not.
    pub fn within(self, path: &str, range: RangeInclusive<Self>) -> Result<Duration> {
        if range.contains(&self) {
            return Ok(self.0);
        }
        let (least, most) = range.into_inner();
        let message = format!("is {self}: it may be from {least} to {most}");
        Err(Error::config(path, message))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = humantime::parse_duration(text);
        let wrong = |_| format!("{text:?} is no time such as 500ms, 30s, 5m or 1h");
        parsed.map(Self).map_err(wrong)
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["30s"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_unit_and_kept_in_its_range() {
        let span = |text: &str| text.parse::<Span>();
        assert_eq!(span("500ms"), Ok(Span::from_millis(500)));
        assert_eq!(span("1h 30m"), Ok(Span::from_secs(5400)));
        for wrong in ["", "5", "h", "soon", "-1s", "1 fortnight"] {
            assert!(span(wrong).unwrap_err().contains("30s"), "{wrong:?}");
        }
        let range = Span::from_secs(1)..=Span::from_secs(3600);
        assert!(Span::from_secs(5).within("/t", range.clone()).is_ok());
        let error = Span::from_secs(0).within("/t", range).unwrap_err();
        assert_eq!(error.message(), "is 0s: it may be from 1s to 1h");
    }

    #[test]
    fn no_number_is_too_large_to_be_a_time() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}

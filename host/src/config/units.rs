//! Durations and sizes, written with their unit.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

use crate::clock::millis;

/// A stretch of time: `"150ms"`, `"30s"`, `"5m"`, `"2h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A stretch of time that may be unlimited: as a period, or `"never"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Time is up after this.
    After(Duration),
    /// Time is never up.
    Never,
}

/// A number of bytes: `"64 KiB"`, `"1 MiB"`, `"10 MB"`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Timers overflow far beyond this, and who wants more means `"never"`.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

const PERIOD_HELP: &str =
    "write a whole number and a unit in quotes: \"150ms\", \"30s\", \"5m\" or \"2h\"";
const SIZE_HELP: &str =
    "write a whole number and a unit in quotes, such as \"64 KiB\", \"1 MiB\" or \"10 MB\"";

// From the largest, so that writing a period picks the shortest text.
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

/// Splits `"30s"` and multiplies by the unit; `None` where there is no such number or unit.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit_start = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_start);
    let number: u64 = number.parse().ok()?;
    let (_, factor) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?;
    number.checked_mul(*factor)
}

fn write(value: u64, units: &[(&str, u64)], separator: &str) -> String {
    units
        .iter()
        .find(|(_, factor)| value != 0 && value.is_multiple_of(*factor))
        .or(units.last())
        .map_or_else(String::new, |(name, factor)| {
            format!("{}{separator}{name}", value / factor)
        })
}

fn wrong<E: de::Error>(message: fmt::Arguments<'_>, help: &str) -> E {
    super::translate::error_with_help(message, help)
}

// === impl Period ===

impl Period {
    /// So many milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl std::str::FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(milliseconds) = parse(text, &TIME_UNITS) else {
            return Err(format!("{text:?} is not a duration"));
        };
        let period = Duration::from_millis(milliseconds);
        if period > LONGEST {
            return Err(format!("{text:?} is longer than ten years"));
        }
        Ok(Self(period))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&write(millis(self.0), &TIME_UNITS, ""))
    }
}

struct PeriodVisitor;

impl Visitor<'_> for PeriodVisitor {
    type Value = Period;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration such as \"30s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Period, E> {
        text.parse()
            .map_err(|message| wrong(format_args!("{message}"), PERIOD_HELP))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Period, E> {
        Err(wrong(
            format_args!("a duration needs a unit, {number} has none"),
            PERIOD_HELP,
        ))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Period, E> {
        Err(wrong(
            format_args!("a duration needs a unit, {number} has none"),
            PERIOD_HELP,
        ))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PeriodVisitor)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ *(ms|s|m|h)$",
            "x-kind": "duration",
        })
    }
}

// === impl Deadline ===

impl Deadline {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self::After(Duration::from_secs(seconds))
    }

    /// The limit, if there is one.
    pub const fn limit(self) -> Option<Duration> {
        match self {
            Self::After(duration) => Some(duration),
            Self::Never => None,
        }
    }
}

struct DeadlineVisitor;

impl Visitor<'_> for DeadlineVisitor {
    type Value = Deadline;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration such as \"30s\", or \"never\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Deadline, E> {
        if text == "never" {
            return Ok(Deadline::Never);
        }
        match text.parse() {
            Ok(Period(duration)) => Ok(Deadline::After(duration)),
            Err(message) => Err(wrong(
                format_args!("{message}"),
                &format!("{PERIOD_HELP}; \"never\" waits without a limit"),
            )),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Deadline, E> {
        PeriodVisitor
            .visit_i64(number)
            .map(|Period(duration)| Deadline::After(duration))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Deadline, E> {
        PeriodVisitor
            .visit_f64(number)
            .map(|Period(duration)| Deadline::After(duration))
    }
}

impl<'de> Deserialize<'de> for Deadline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DeadlineVisitor)
    }
}

impl Serialize for Deadline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::After(duration) => Period(*duration).serialize(serializer),
            Self::Never => serializer.serialize_str("never"),
        }
    }
}

impl JsonSchema for Deadline {
    fn schema_name() -> Cow<'static, str> {
        "Deadline".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+ *(ms|s|m|h)|never)$",
            "x-kind": "duration or \"never\"",
        })
    }
}

// === impl Size ===

impl Size {
    /// As the length of something in memory.
    pub(crate) fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a size such as \"1 MiB\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        parse(text, &SIZE_UNITS)
            .map(Size)
            .ok_or_else(|| wrong(format_args!("{text:?} is not a size"), SIZE_HELP))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
        u64::try_from(bytes)
            .map(Size)
            .map_err(|_| wrong(format_args!("a size cannot be negative"), SIZE_HELP))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&write(self.0, &SIZE_UNITS, " "))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+ *(B|kB|KB|KiB|MB|MiB|GB|GiB)$",
            "minimum": 0,
            "x-kind": "size",
        })
    }
}

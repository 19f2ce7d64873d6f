//! Amounts of money, written as decimal numbers and counted in whole billionths.

use std::{borrow::Cow, fmt, ops::AddAssign, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

/// An amount of money: `"0.40"`, in whatever currency the operator thinks.
///
/// Billionths are counted, never fractions of them, so that a sum is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money {
    billionths: u64,
}

const ONE: u64 = 1_000_000_000;
const DECIMALS: usize = 9;
/// What a database can sum for a long time.
const LARGEST: u64 = 1_000_000 * ONE;

const HELP: &str = "write a decimal number in quotes, such as \"0.40\", with at most 9 decimals";

// === impl Money ===

impl Money {
    /// So many billionths.
    pub(crate) const fn from_billionths(billionths: u64) -> Self {
        Self { billionths }
    }

    pub(crate) const fn billionths(self) -> u64 {
        self.billionths
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.billionths = self.billionths.saturating_add(other.billionths);
    }
}

impl FromStr for Money {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > DECIMALS {
            return Err(format!("{text:?} is not an amount of money"));
        }
        let billionths = format!("{whole}{decimals:0<DECIMALS$}").parse::<u64>().ok();
        billionths
            .filter(|it| *it <= LARGEST)
            .map(Self::from_billionths)
            .ok_or_else(|| format!("{text:?} is more than a million"))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.billionths / ONE, self.billionths % ONE);
        if rest == 0 {
            return write!(formatter, "{whole}");
        }
        let decimals = format!("{rest:0>DECIMALS$}");
        write!(formatter, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

struct MoneyVisitor;

impl Visitor<'_> for MoneyVisitor {
    type Value = Money;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an amount of money such as \"0.40\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Money, E> {
        text.parse()
            .map_err(|message: String| wrong(format_args!("{message}")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Money, E> {
        Err(wrong(format_args!("{number} is not in quotes")))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Money, E> {
        Err(wrong(format_args!("{number} is not in quotes")))
    }
}

fn wrong<E: de::Error>(message: fmt::Arguments<'_>) -> E {
    super::translate::error_with_help(message, HELP)
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MoneyVisitor)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]{1,9})?$",
            "x-kind": "amount of money",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for (text, again) in [
            ("0", "0"),
            ("0.40", "0.4"),
            ("15.000000001", "15.000000001"),
            ("1000000", "1000000"),
        ] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), again);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".5",
            "1.",
            "-1",
            "1e3",
            "0.0000000001",
            "1000001",
            "1,5",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }
}

//! JSON as clients send it, read in one pass: no object has a key twice.
//!
//! Readers disagree on which of two equal keys counts. What a guard, a proxy or a log has seen
//! would not be what is run.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::schema::escaped;

/// Why a text is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    NotJson,
    /// A JSON pointer to the key that is there twice.
    Twice(String),
}

/// Reads a value. `twice` is where a repeated key is remembered, from the inside out.
struct Strict<'t> {
    twice: &'t mut Option<String>,
}

/// The value of a JSON text.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut twice = None;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Strict { twice: &mut twice }.deserialize(&mut reader);
    match (read, twice) {
        (Ok(value), _) if reader.end().is_ok() => Ok(value),
        (Err(_), Some(pointer)) => Err(Unreadable::Twice(pointer)),
        _ => Err(Unreadable::NotJson),
    }
}

// === impl Strict ===

impl Strict<'_> {
    /// Puts the step before the way to a repeated key, if one was found.
    fn came_by(&mut self, step: impl fmt::Display) {
        if let Some(way) = self.twice {
            way.insert_str(0, &format!("/{step}"));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let twice = &mut *self.twice;
            match items.next_element_seed(Strict { twice }) {
                Ok(Some(item)) => list.push(item),
                Ok(None) => return Ok(Value::Array(list)),
                Err(error) => {
                    self.came_by(list.len());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let entry = match object.entry(key) {
                Entry::Vacant(entry) => entry,
                Entry::Occupied(entry) => {
                    *self.twice = Some(String::new());
                    self.came_by(escaped(entry.key()));
                    return Err(A::Error::custom("a key is there twice"));
                }
            };
            let twice = &mut *self.twice;
            match entries.next_value_seed(Strict { twice }) {
                Ok(value) => entry.insert(value),
                Err(error) => {
                    self.came_by(escaped(entry.key()));
                    return Err(error);
                }
            };
        }
        Ok(Value::Object(object))
    }
}

/// A whole number, which JSON may also write with a fraction of zero: `2.0`. One that is too large
/// is the largest there is.
pub(super) fn whole_number(value: &Value) -> Option<i64> {
    let number = value.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    Some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_repeated_keys_is_what_it_always_was() {
        let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
        let too_deep = format!("{}1{}", "[".repeat(128), "]".repeat(128));
        for text in [
            "null",
            " true ",
            "-0",
            "-0.0",
            "18446744073709551615",
            "-9223372036854775808",
            "18446744073709551616",
            "1.5e3",
            "1e999",
            r#""a\u00e9\n\ud83d\ude00""#,
            r#""\ud800""#,
            r#"{"b":1,"a":[{},[],"",null],"A":2}"#,
            r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
            r#"[{"a":1},{"a":1}]"#,
            "",
            "{",
            "[1,]",
            "{} x",
            "nan",
            "{\"a\":1,}",
            &deep,
            &too_deep,
        ] {
            let usual = serde_json::from_str::<Value>(text).map_err(|_| Unreadable::NotJson);
            assert_eq!(parse(text.as_bytes()), usual, "{text}");
        }
        assert_eq!(parse(b"\"\xff\""), Err(Unreadable::NotJson));
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        let whole = |text: &str| whole_number(&parse(text.as_bytes()).unwrap());
        assert_eq!(
            (whole("2"), whole("2.0"), whole("-2.0")),
            (Some(2), Some(2), Some(-2))
        );
        let largest_exact = (1_i64 << 53) - 1;
        assert_eq!(whole(&largest_exact.to_string()), Some(largest_exact));
        assert_eq!((whole("1e300"), whole("\"2\"")), (Some(i64::MAX), None));
    }

    #[test]
    fn a_key_that_is_there_twice_is_found_at_every_depth() {
        for (text, pointer) in [
            (r#"{"input":1,"input":1}"#, "/input"),
            (r#"{"a":1,"b":2,"\u0061":3}"#, "/a"),
            (r#"{"":1,"":2}"#, "/"),
            (r#"{"a":[0,{"b":{"x/y~z":1,"x/y~z":2}}]}"#, "/a/1/b/x~1y~0z"),
            (r#"[[],[{"k":{"k":1,"k":2}}]]"#, "/1/0/k/k"),
            // Whatever comes behind it.
            (r#"{"a":1,"a":nonsense"#, "/a"),
        ] {
            let twice = Err(Unreadable::Twice(pointer.to_owned()));
            assert_eq!(parse(text.as_bytes()), twice, "{text}");
        }
    }
}

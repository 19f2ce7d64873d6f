//! JSON that says each thing once.
//!
//! Two members of one name are read differently by different readers, so that a text with them
//! could mean one thing to whoever signed it and another to whoever believes it.

use std::fmt;

use mortise_plugin_api::serde_json::{Map, Value};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The object that this text is; nothing else, and no name twice at any depth.
pub(crate) fn object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::from_slice(text)? {
        Unique(Value::Object(object)) => Ok(object),
        Unique(_) => Err(serde_json::Error::custom("it is no object")),
    }
}

struct Unique(Value);

struct UniqueVisitor;

// === impl Unique ===

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = members.next_entry::<String, _>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_once_at_any_depth() {
        let read = object(br#"{"a":[1,-2,0.5,null,true,"x"],"b":{"a":1}}"#).unwrap();
        assert_eq!(
            Value::Object(read),
            serde_json::json!({ "a": [1, -2, 0.5, null, true, "x"], "b": { "a": 1 } })
        );
        for twice in [
            r#"{"sub":"ann","sub":"bob"}"#,
            r#"{"sub":"ann","s\u0075b":"bob"}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
        ] {
            assert!(object(twice.as_bytes()).is_err(), "{twice}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let deep = format!(r#"{{"a":{deep}}}"#);
        for text in [
            "",
            "1",
            "[]",
            "null",
            "\"x\"",
            "{}x",
            "{",
            "\u{feff}{}",
            "{\"a\":1e999}",
            &deep,
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
    }
}

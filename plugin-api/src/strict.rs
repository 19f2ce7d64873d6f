//! Members of JSON bodies, for `#[serde(deserialize_with = "…")]`: neither more nor less than clients
//! may write.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// An object and nothing else: serde also takes a list, for its members in their order.
///
/// # Errors
/// What is not an object, or none of this form.
pub fn object<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    Option::<Map<String, Value>>::deserialize(from)?
        .map(read)
        .transpose()
}

/// A list of objects and nothing else.
///
/// # Errors
/// What is no list of objects, or has one that is none of this form.
pub fn objects<'de, T, D>(from: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    Option::<Vec<Map<String, Value>>>::deserialize(from)?
        .map(|objects| objects.into_iter().map(read).collect())
        .transpose()
}

fn read<T: DeserializeOwned, E: serde::de::Error>(object: Map<String, Value>) -> Result<T, E> {
    T::deserialize(Value::Object(object)).map_err(E::custom)
}

/// A whole number, which JSON may also write with a fraction of zero: `100.0`.
///
/// # Errors
/// Any other number, and what is none.
pub fn whole_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(from)? else {
        return Ok(None);
    };
    if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
        return Err(D::Error::custom(format!(
            "invalid value: `{number}`, expected a whole number from 0 to {}",
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

    #[derive(Debug, PartialEq, Deserialize)]
    struct Book {
        title: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Order {
        #[serde(default, deserialize_with = "object")]
        book: Option<Book>,
        #[serde(default, deserialize_with = "objects")]
        more: Option<Vec<Book>>,
        #[serde(default, deserialize_with = "whole_number")]
        copies: Option<u32>,
    }

    fn order(text: &str) -> Option<Order> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn a_list_is_no_object() {
        let both = order(r#"{"book":{"title":"A"},"more":[{"title":"B"}]}"#).unwrap();
        assert_eq!(
            (both.book.unwrap().title, both.more.unwrap().len()),
            ("A".into(), 1)
        );
        assert!(order(r#"{"book":null,"more":null}"#).is_some());
        assert!(order(r#"{"book":["A"]}"#).is_none());
        assert!(order(r#"{"more":[["B"]]}"#).is_none());
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        let copies = |text: &str| order(&format!(r#"{{"copies":{text}}}"#)).map(|it| it.copies);
        assert_eq!(copies("100.0"), Some(Some(100)));
        assert_eq!(copies("100"), Some(Some(100)));
        assert_eq!(copies("null"), Some(None));
        for odd in ["1.5", "-1", "4294967296", "\"1\""] {
            assert_eq!(copies(odd), None, "{odd}");
        }
    }
}

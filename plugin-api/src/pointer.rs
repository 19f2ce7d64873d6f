//! JSON pointers (RFC 6901): where in a value something stands.

use serde_path_to_error::{Path, Segment};

/// A key as a segment of a JSON pointer.
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The key that a segment of a JSON pointer stands for.
pub fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// A place as a JSON pointer.
pub(crate) fn of_place(place: &Path) -> String {
    let segments = place.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", escaped(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use crate::plugin::read_config;
    use crate::tool::read_arguments;

    #[test]
    fn the_place_of_a_mistake_leads_to_it_whatever_its_keys_are() {
        #[derive(Debug, serde::Deserialize)]
        struct Price {
            #[serde(rename = "in/out")]
            _both: u64,
        }
        let wrong = json!({ "openai/gpt~4": "free" });
        let prices = read_config::<BTreeMap<String, u64>>(wrong.clone()).unwrap_err();
        assert_eq!(
            wrong.pointer(&prices.issues()[0].path),
            Some(&json!("free"))
        );
        let missing = read_arguments::<Price>(json!({})).unwrap_err();
        assert_eq!(missing.issues()[0].path, "/in~1out");
    }
}

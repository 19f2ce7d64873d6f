//! Percent escapes in paths and queries.

/// A path segment, decoded; one with a broken escape stays as it is.
pub(super) fn decode_segment(text: &str) -> String {
    decode(text).unwrap_or_else(|| text.to_owned())
}

/// The decoded text; `None` for a broken escape or one that is no UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return None;
        };
        bytes.push(hex(*high)? << 4 | hex(*low)?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

/// The first value of a query parameter; broken escapes in it stay as they are.
pub(super) fn query_param(query: Option<&str>, name: &str) -> Option<String> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(key) == name).then(|| decode_form(value))
    })
}

fn decode_form(text: &str) -> String {
    decode_segment(&text.replace('+', " "))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_and_broken_ones_stay() {
        assert_eq!(decode_segment("c%2F4%20x"), "c/4 x");
        assert_eq!(decode_segment("caf%C3%A9"), "café");
        for broken in ["100%", "%zz", "%C3", "a%2"] {
            assert_eq!(decode_segment(broken), broken);
        }
        assert_eq!(decode_segment("a+b"), "a+b");
    }

    #[test]
    fn the_first_value_of_a_query_parameter_counts() {
        let query = Some("a=1&streamId=run%5F1+x&streamId=2");
        assert_eq!(query_param(query, "streamId").as_deref(), Some("run_1 x"));
        assert_eq!(query_param(query, "other"), None);
        assert_eq!(query_param(None, "a"), None);
        assert_eq!(query_param(Some("a"), "a").as_deref(), Some(""));
    }
}

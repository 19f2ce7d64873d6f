//! Names and ids that clients send: what is fit to be looked up, stored and logged.

use serde_json::{Map, Value};

use super::error::Failure;
use super::escapes;

/// The longest id, in bytes.
const LONGEST: usize = 1024;

/// Whether an id may be used: of bounded length, and without control characters.
fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST && !has_controls(text)
}

/// The same of a segment of a path, for those who decode it and for those who do not.
pub(super) fn is_plain_segment(segment: &str) -> bool {
    if !segment.contains('%') {
        return is_plain(segment);
    }
    match escapes::decode(segment) {
        Some(decoded) => is_plain(&decoded) && !has_controls(segment),
        None => is_plain(segment),
    }
}

/// Whether a plugin may be given this segment: whatever it makes of it, it is no way out of a
/// folder either.
pub(super) fn is_fit(segment: &str) -> bool {
    let leads_out = |text: &str| text.split(['/', '\\']).any(|part| part == "..");
    segment.len() <= LONGEST
        && is_plain_segment(segment)
        && !leads_out(segment)
        && escapes::decode(segment).is_none_or(|decoded| !leads_out(&decoded))
}

/// Whether a body names a conversation that may be used, or none.
pub(super) fn check_conversation_id(body: &Map<String, Value>) -> Result<(), Failure> {
    let id = body.get("conversationId").and_then(Value::as_str);
    if id.is_none_or(is_plain) {
        return Ok(());
    }
    Err(Failure::invalid_at(
        "/conversationId",
        &format!("must be at most {LONGEST} bytes long and have no control characters"),
    ))
}

fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_free_text_without_control_characters_and_not_too_long() {
        let long = "x".repeat(LONGEST);
        let escaped = "%41".repeat(LONGEST);
        for plain in [
            "c",
            "c%2F1%20x",
            "caf%C3%A9",
            "..",
            "100%",
            "%zz",
            "a;b=c",
            &long,
            &escaped,
        ] {
            assert!(is_plain_segment(plain), "{plain}");
        }
        let longer = "x".repeat(LONGEST + 1);
        for odd in [
            "%00", "a%0Ab", "%1b[31m", "%7F", "\u{7f}", "%C2%85", "\u{85}", &longer,
        ] {
            assert!(!is_plain_segment(odd), "{odd}");
        }
        // Decoded once, as by those who use it.
        assert!(is_plain_segment("%2500"));
    }

    #[test]
    fn what_a_plugin_is_given_leads_nowhere() {
        for fit in ["a", "a..b", "...", "%2E", "a%2Fb"] {
            assert!(is_fit(fit), "{fit}");
        }
        for odd in ["..", "%2e%2e", "..%2fx", "x%5C..", "a%2F..%2Fb", "%00"] {
            assert!(!is_fit(odd), "{odd}");
        }
    }
}

//! The labels of a number, as the text that crosses: `key=value`, joined with commas.

/// What has a backslash before it.
const SPECIAL: [char; 3] = ['\\', ',', '='];

/// The labels as one text, in their order.
pub fn to_text(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (key, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        escape(key, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

/// The labels of a text; `None` where it is none of labels.
pub fn from_text(text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    if text.is_empty() {
        return Some(labels);
    }
    let (mut key, mut part) = (None, String::new());
    let mut characters = text.chars();
    loop {
        match characters.next() {
            Some('\\') => part.push(characters.next()?),
            Some('=') if key.is_none() => key = Some(std::mem::take(&mut part)),
            Some('=') => return None,
            end @ (Some(',') | None) => {
                labels.push((key.take()?, std::mem::take(&mut part)));
                if end.is_none() {
                    return Some(labels);
                }
            }
            Some(other) => part.push(other),
        }
    }
}

fn escape(part: &str, text: &mut String) {
    for character in part.chars() {
        if SPECIAL.contains(&character) {
            text.push('\\');
        }
        text.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back_as_they_were() {
        let cases: [&[(&str, &str)]; 5] = [
            &[],
            &[("rule", "per-minute")],
            &[("a", ""), ("b", "x,y=z\\")],
            &[("", "")],
            &[("k=,\\", "ü\n\"")],
        ];
        for labels in cases {
            let read = from_text(&to_text(labels)).unwrap();
            let read: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(read, labels);
        }
        assert_eq!(to_text(&[("a", "1"), ("b", "2")]), "a=1,b=2");
    }

    #[test]
    fn a_text_without_labels_is_none_of_them() {
        for text in ["a", ",", "a=1,", "a=1,,b=2", "a=1=2", "a=\\", "=,"] {
            assert_eq!(from_text(text), None, "{text:?}");
        }
    }
}

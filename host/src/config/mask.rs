//! Stars for what nobody may read in the texts that errors show.

use toml::de::DeValue;

use super::secret::is_reference;

/// How the name of a value ends that nobody may read, in a file and in a variable.
const SECRET_WORDS: [&str; 16] = [
    "secret",
    "secrets",
    "token",
    "tokens",
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "key",
    "keys",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "cookies",
];

fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_count = name.ends_with("tokens") && value.starts_with(|it: char| it.is_ascii_digit());
    !is_count && SECRET_WORDS.iter().any(|word| name.ends_with(word))
}

/// The text with stars for every value whose key sounds like a secret, byte for byte, so that
/// places stay where they are. Works on broken text, which is when it is shown.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    mask(text, &mut masked);
    masked
}

/// The text `NAME=value` of a variable, likewise. A secret there may look like anything.
pub(super) fn masked_variable(text: &str) -> String {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let is_told = DeValue::parse(value).is_ok_and(|value| is_reference(value.get_ref()));
    if is_secret(name, value) && !is_told {
        return format!("{name}={}", stars(value));
    }
    masked(text)
}

fn mask(mut text: &str, masked: &mut String) {
    // Whether nothing but a key stands before on the line.
    let mut begins_line = true;
    while let Some(first) = text.chars().next() {
        let word = end_of_word(text);
        let (part, rest) = text.split_at(word.max(first.len_utf8()));
        masked.push_str(part);
        text = rest;
        if word > 0
            && let Some(gap) = gap_before_value(text, begins_line)
            && is_secret(part, &text[gap..])
        {
            masked.push_str(&text[..gap]);
            text = mask_value(&text[gap..], masked);
        }
        begins_line = match first {
            '\n' => true,
            '.' | '"' | '\'' | ' ' | '\t' => begins_line,
            _ => begins_line && text.starts_with(['.', '"', '\'']),
        };
    }
}

/// Where the word ends that the text begins with.
fn end_of_word(text: &str) -> usize {
    let is_of_word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    text.find(|it| !is_of_word(it)).unwrap_or(text.len())
}

/// How far it is from a key to its value: `=` is between, or what people write by mistake.
fn gap_before_value(text: &str, begins_line: bool) -> Option<usize> {
    let unquoted = text.trim_start_matches(['"', '\'']);
    let after = unquoted.trim_start_matches([' ', '\t']);
    let value = match after.strip_prefix(['=', ':']) {
        Some(value) => value.trim_start_matches([' ', '\t']),
        None if begins_line && after.len() < unquoted.len() => after,
        None => return None,
    };
    let gap = text.len() - value.len();
    Some(gap).filter(|_| !value.starts_with(['\n', '\r']))
}

/// Masks a value, and returns what comes behind it. One that says where a secret is stays.
fn mask_value<'t>(value: &'t str, masked: &mut String) -> &'t str {
    if value.starts_with(['[', '{']) {
        return mask_nested(value, masked);
    }
    let (secret, rest) = value.split_at(end_of_value(value));
    masked.push_str(&stars(secret));
    rest
}

/// Masks the values in a list or a table, and in those within it.
fn mask_nested<'t>(mut text: &'t str, masked: &mut String) -> &'t str {
    let mut open = Vec::new();
    let mut before_key = false;
    while let Some(first) = text.chars().next() {
        let reference = end_of_reference(text);
        let end = match first {
            _ if reference > 0 => reference,
            '[' | ']' | '{' | '}' | ',' | '=' => 1,
            '#' => text.find('\n').unwrap_or(text.len()),
            blank if blank.is_whitespace() => blank.len_utf8(),
            _ if before_key && open.last() == Some(&'{') => end_of_key(text),
            _ => 0,
        };
        if end == 0 {
            text = mask_value(text, masked);
            before_key = false;
            continue;
        }
        let (part, rest) = text.split_at(end);
        masked.push_str(part);
        text = rest;
        match first {
            '[' | '{' if reference == 0 => open.push(first),
            ']' | '}' => drop(open.pop()),
            _ => {}
        }
        before_key = match first {
            '{' | ',' => true,
            '#' => before_key,
            blank if blank.is_whitespace() => before_key,
            _ => false,
        };
        if open.is_empty() {
            break;
        }
    }
    text
}

/// Where a table ends that the text begins with and that says where a secret is; 0 for all else.
fn end_of_reference(text: &str) -> usize {
    let Some(inside) = text.strip_prefix('{') else {
        return 0;
    };
    // No further than the next brace: there may be many.
    let brace = inside.find(['{', '}']).unwrap_or(inside.len());
    let end = text.len().min(brace + 2);
    match DeValue::parse(text.get(..end).unwrap_or_default()) {
        Ok(value) if is_reference(value.get_ref()) => end,
        _ => 0,
    }
}

/// Where a key ends that the text begins with; 0 if it begins with none.
fn end_of_key(text: &str) -> usize {
    let end = match text.chars().next() {
        Some('"' | '\'') => end_of_value(text),
        _ => end_of_word(text),
    };
    let is_key = text[end..].trim_start_matches([' ', '\t']).starts_with('=');
    if is_key { end } else { 0 }
}

/// As many stars as bytes; lines stay lines.
fn stars(secret: &str) -> String {
    let star = |byte| if byte == b'\n' { '\n' } else { '*' };
    secret.bytes().map(star).collect()
}

/// Where a value ends that is text or a bare word; behind its first character at least.
fn end_of_value(value: &str) -> usize {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(text) = value.strip_prefix(quotes) {
            let Some(end) = text.find(quotes) else {
                return value.len();
            };
            // Of more than three, the first belong to the text.
            let end = end + 2 * quotes.len();
            let more = value[end..]
                .chars()
                .take_while(|it| quotes.starts_with(*it));
            return end + more.count();
        }
    }
    let line = value.lines().next().unwrap_or_default().trim_end();
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => line
            .match_indices(quote)
            .skip(1)
            .map(|(index, _)| index)
            .find(|&index| quote == '\'' || !line[..index].ends_with('\\'))
            .map_or(line.len(), |index| index + 1),
        first => {
            let end = line.find([',', '}', ']', '#']).unwrap_or(line.len());
            end.max(first.map_or(0, char::len_utf8))
        }
    }
}

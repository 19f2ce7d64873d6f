//! Turns what the TOML reader and serde say into what an operator understands.

use std::{fmt, ops::Range};

use serde::de;

use super::{
    Problem,
    document::{Places, Texts},
};

/// Parts the sentence from the advice in the one string that serde lets an error carry.
const HELP_MARK: &str = "\nhelp: ";

/// What is written with two brackets.
const LISTS_OF_TABLES: [&str; 2] = ["plugins.load", "server.listen"];

/// An error for a `Deserialize` that knows the remedy.
pub(super) fn error_with_help<E: de::Error>(message: fmt::Arguments<'_>, help: &str) -> E {
    E::custom(format_args!("{message}{HELP_MARK}{help}"))
}

/// The text is no TOML.
pub(super) fn syntax_error(error: &toml::de::Error, texts: &Texts) -> Problem {
    let help = match error.message() {
        "duplicate key" => {
            let help = "it is given further up already, and once is enough: put both together; a \
                        list of tables has two brackets, [[…]]";
            Some(help.to_owned())
        }
        _ => None,
    };
    let span = error.span().unwrap_or_default();
    texts.problem(span, format!("this is no TOML: {}", error.message()), help)
}

/// The text is TOML, but says something that the configuration does not know.
pub(super) fn value_error(error: &toml::de::Error, texts: &Texts, places: &Places) -> Problem {
    let span = error.span().unwrap_or_default();
    let path = places.path_of(&span);
    let (message, help) = explain(error.message(), path.as_deref(), &span);
    texts.problem(span, message, help)
}

fn explain(message: &str, path: Option<&str>, span: &Range<usize>) -> (String, Option<String>) {
    let named = |message: String| match path {
        Some(path) => format!("`{path}`: {message}"),
        None => message,
    };
    if let Some((message, help)) = message.split_once(HELP_MARK) {
        return (named(message.to_owned()), Some(help.to_owned()));
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (key, known) = unknown(rest);
        let path = path.unwrap_or(key);
        let others = if path.starts_with("plugins.load[") {
            "settings of the plugin itself belong in `config`; the keys here are"
        } else {
            "the keys here are"
        };
        let help = did_you_mean(key, &known, others);
        return (format!("unknown key `{path}`"), help);
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (word, known) = unknown(rest);
        let help = did_you_mean(word, &known, "write one of");
        return (named(format!("{word:?} is not known here")), help);
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let message = match path {
            Some(path) => format!("`{path}` lacks the key {rest}"),
            None if *span == (0..0) => format!("the key {rest} is missing"),
            None => format!("the key {rest} is missing here"),
        };
        return (message, None);
    }
    let mismatch = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    if let Some((found, expected)) = mismatch {
        let message = format!("expected {}, found {}", plain(expected), found_plain(found));
        let help = path
            .filter(|it| LISTS_OF_TABLES.contains(it) && found == "map")
            .map(|it| format!("write [[{it}]], with two brackets, for each of them"));
        return (named(message), help);
    }
    (named(message.to_owned()), None)
}

/// The word that is not known, and the words that are.
fn unknown(rest: &str) -> (&str, Vec<&str>) {
    let mut words = rest.split('`').skip(1).step_by(2);
    (words.next().unwrap_or_default(), words.collect())
}

/// The known word that is meant, or all of them.
pub(crate) fn did_you_mean(word: &str, known: &[&str], else_list: &str) -> Option<String> {
    match nearest(word, known) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if known.is_empty() => None,
        None => Some(format!("{else_list} {}", known.join(", "))),
    }
}

/// The known word that is meant, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&candidate| (strsim::osa_distance(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .map(|(_, candidate)| candidate)
}

fn plain(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "a string" | "path string" | "string or map" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn found_plain(found: &str) -> &str {
    match found {
        "map" => "a table",
        "sequence" => "an array",
        other => other,
    }
}

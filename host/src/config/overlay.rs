//! `MORTISE__SERVER__PORT=8080` laid over the key `server.port`.

use std::{borrow::Cow, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Environment, Problem, document::Texts, secret};

const PREFIX: &str = "MORTISE__";
const SEPARATOR: &str = "__";

/// The variables that lay a value over a key, sorted, so that a table comes before its keys.
pub(super) fn variables(environment: &dyn Environment) -> Result<Vec<(String, String)>, Problem> {
    let mut variables = Vec::new();
    for (name, value) in environment.vars() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let Ok(value) = value.into_string() else {
            let message = format!("the value of the variable {name} is not UTF-8 text");
            return Err(Problem::new(message, None));
        };
        variables.push((name.to_owned(), secret::without_line_end(value)));
    }
    variables.sort();
    Ok(variables)
}

/// Lays every variable over the tree.
pub(super) fn apply<'a>(tree: &mut Spanned<DeTable<'a>>, texts: &'a Texts) -> Result<(), Problem> {
    for (name, start, value) in texts.variables() {
        let path = path(name, start);
        if let Some((_, span)) = path.iter().find(|(segment, _)| segment.is_empty()) {
            let help = Some("write MORTISE__SECTION__KEY".to_owned());
            return Err(texts.problem(span.clone(), "a part of the name is empty".into(), help));
        }
        let value_start = start + name.len() + 1;
        let is_secret = ["MORTISE__SERVER__SECRET", "MORTISE__HTTP__TOKEN"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own));
        let value = parse(value, value_start, is_secret);
        insert(tree.get_mut(), &path, value).map_err(|span| {
            let message = "this leads through a value that is not a table".to_owned();
            texts.problem(span, message, None)
        })?;
    }
    Ok(())
}

/// The segments of a name in lower case, each with its place.
fn path(name: &str, start: usize) -> Vec<(String, Range<usize>)> {
    let mut at = start + PREFIX.len();
    name[PREFIX.len()..]
        .split(SEPARATOR)
        .map(|segment| {
            let span = at..at + segment.len();
            at = span.end + SEPARATOR.len();
            (segment.to_owned(), span)
        })
        .collect()
}

/// A TOML value if the text is one, else the text. A secret is text whatever it looks like, unless
/// it says where to read it.
fn parse(text: &str, start: usize, is_secret: bool) -> Spanned<DeValue<'_>> {
    match DeValue::parse(text) {
        Ok(value) if !is_secret || secret::is_reference(value.get_ref()) => shifted(value, start),
        _ => {
            let value = DeValue::String(Cow::Borrowed(text));
            Spanned::new(start..start + text.len(), value)
        }
    }
}

/// The same value with every span moved, since it was parsed on its own.
fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + by..value.span().end + by;
    let inner = match value.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shifted(item, by)).collect())
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    let span = key.span().start + by..key.span().end + by;
                    (Spanned::new(span, key.into_inner()), shifted(value, by))
                })
                .collect(),
        ),
        other => other,
    };
    Spanned::new(span, inner)
}

/// Puts the value at the end of the path; an error is the segment that cannot be entered.
fn insert<'a>(
    table: &mut DeTable<'a>,
    path: &[(String, Range<usize>)],
    value: Spanned<DeValue<'a>>,
) -> Result<(), Range<usize>> {
    let Some(((name, span), rest)) = path.split_first() else {
        return Ok(());
    };
    let existing = table
        .keys()
        .find(|key| key.get_ref().eq_ignore_ascii_case(name))
        .cloned();
    if rest.is_empty() {
        // The old key goes, so that errors point at the variable.
        let name = match existing {
            Some(key) => {
                table.remove(&key);
                key.into_inner()
            }
            None => Cow::Owned(name.to_lowercase()),
        };
        table.insert(Spanned::new(span.clone(), name), value);
        return Ok(());
    }
    let key =
        existing.unwrap_or_else(|| Spanned::new(span.clone(), Cow::Owned(name.to_lowercase())));
    let empty = || Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
    enter(
        table.entry(key).or_insert_with(empty).get_mut(),
        span,
        rest,
        value,
    )
}

fn enter<'a>(
    parent: &mut DeValue<'a>,
    span: &Range<usize>,
    path: &[(String, Range<usize>)],
    value: Spanned<DeValue<'a>>,
) -> Result<(), Range<usize>> {
    match parent {
        DeValue::Table(table) => insert(table, path, value),
        DeValue::Array(items) => {
            let Some(((index, span), rest)) = path.split_first() else {
                return Ok(());
            };
            let index: usize = index.parse().map_err(|_| span.clone())?;
            let item = items.get_mut(index).ok_or_else(|| span.clone())?;
            if rest.is_empty() {
                *item = value;
                return Ok(());
            }
            enter(item.get_mut(), span, rest, value)
        }
        _ => Err(span.clone()),
    }
}

//! The reference of every key, written from the types, so that it cannot lag behind them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Config;

/// How the types of the page are written.
const PREFACE: &str = r#"# Configuration

Every key, as `mortise config reference` prints it.

| type | is written |
|---|---|
| duration | a whole number with `h`, `m`, `s` or `ms`, in quotes: `"30s"`, `"720h"` for 30 days |
| size | a whole number with `B`, `kB`, `KiB`, `MB`, `MiB`, `GB` or `GiB`, in quotes: `"1 MiB"` |
| secret | `{ env = "NAME" }`, `{ file = "path" }`, or the text itself |
| amount of money | a decimal number in quotes, with at most 9 decimals: `"0.40"` |
| network | `"10.0.0.0/8"`, or one address |

Variables of the environment go over the file: `MORTISE__SECTION__KEY`, with two underscores each, is
`section.key`. Lists and tables are written as in the file: `[3141, 4310]`.
"#;

/// The JSON Schema of a configuration file.
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// Every key with its type, default, limit and meaning: a page of Markdown.
pub fn reference() -> String {
    let schema = schema();
    let mut page = Page {
        definitions: schema.get("$defs").unwrap_or(&Value::Null),
        text: PREFACE.to_owned(),
    };
    page.keys("", &schema);
    page.text
}

/// The page as far as it is written.
struct Page<'a> {
    definitions: &'a Value,
    text: String,
}

impl<'a> Page<'a> {
    /// The keys of a section, then the sections inside.
    fn keys(&mut self, path: &str, section: &'a Value) {
        let mut rows = String::new();
        let mut inner = Vec::new();
        let mut lists = Vec::new();
        for (key, property) in entries(section, "properties") {
            let key_path = joined(path, key);
            let is_required = section["required"]
                .as_array()
                .is_some_and(|required| required.iter().any(|it| it == key));
            let default = if is_required {
                "required".to_owned()
            } else {
                default(property)
            };
            match self.shape(property) {
                Shape::Section(schema) => inner.push((key_path, schema)),
                Shape::Named(schema) => inner.push((joined(&key_path, "NAME"), schema)),
                Shape::List(schema) => {
                    rows.push_str(&self.row(&key_path, property, &default));
                    lists.push((key_path, schema));
                }
                Shape::Value => rows.push_str(&self.row(&key_path, property, &default)),
            }
        }
        if let Some(named) = section
            .get("additionalProperties")
            .filter(|it| it.is_object())
        {
            inner.push((joined(path, "NAME"), self.resolved(named)));
        }
        if !rows.is_empty() {
            self.text
                .push_str("\n| key | type | default | limit | meaning |\n|---|---|---|---|---|\n");
            self.text.push_str(&rows);
        }
        for (path, schema) in lists {
            self.heading(&format!("[[{path}]]"), schema);
            self.keys(&path, schema);
        }
        for (path, schema) in inner {
            self.heading(&format!("[{path}]"), schema);
            self.keys(&path, schema);
        }
    }

    fn heading(&mut self, title: &str, section: &Value) {
        let meaning = description(section);
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "\n## `{title}`\n\n{meaning}");
    }

    fn row(&self, path: &str, property: &'a Value, default: &str) -> String {
        let resolved = self.resolved(property);
        let meaning = match description(property) {
            "" => description(resolved),
            meaning => meaning,
        };
        format!(
            "| `{path}` | {} | {default} | {} | {} |\n",
            escaped(&self.kind(property)),
            limit(resolved),
            escaped(&meaning.replace('\n', " ")),
        )
    }

    /// What may be written, in words.
    fn kind(&self, property: &'a Value) -> String {
        let schema = self.resolved(property);
        if let Some(kind) = schema.get("x-kind").and_then(Value::as_str) {
            return kind.to_owned();
        }
        let words = words(schema);
        if !words.is_empty() {
            return words.join(", ");
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().find_map(|it| it.as_str()),
            Some(kind) => kind.as_str(),
            None => None,
        };
        match kind {
            Some("array") => match schema.get("items") {
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".to_owned(),
            },
            Some("object") => match schema.get("additionalProperties") {
                Some(value) if value.is_object() => format!("table of {}", self.kind(value)),
                _ => "table".to_owned(),
            },
            Some("string") => "text".to_owned(),
            Some(other) => other.to_owned(),
            None => "any".to_owned(),
        }
    }

    fn shape(&self, property: &'a Value) -> Shape<'a> {
        let schema = self.resolved(property);
        if schema.get("properties").is_some() {
            return Shape::Section(schema);
        }
        let has_keys = |inner: &&Value| inner.get("properties").is_some();
        let inner = |key| schema.get(key).map(|it| self.resolved(it)).filter(has_keys);
        if let Some(items) = inner("items") {
            return Shape::List(items);
        }
        let patterns = entries(schema, "patternProperties");
        if let Some((_, value)) = patterns.into_iter().next() {
            return Shape::Named(self.resolved(value));
        }
        inner("additionalProperties").map_or(Shape::Value, Shape::Named)
    }

    /// The schema behind a `$ref`, and behind the `anyOf` with null that an optional key has.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix("#/$defs/"))
        {
            return self.definitions.get(name).unwrap_or(schema);
        }
        let is_null = |it: &&Value| it.get("type").is_some_and(|kind| kind == "null");
        match schema.get("anyOf").and_then(Value::as_array) {
            Some(branches)
                if schema.get("x-kind").is_none() && branches.iter().any(|it| is_null(&it)) =>
            {
                branches
                    .iter()
                    .find(|it| !is_null(it))
                    .map_or(schema, |it| self.resolved(it))
            }
            _ => schema,
        }
    }
}

/// What stands behind a key.
enum Shape<'a> {
    Value,
    Section(&'a Value),
    List(&'a Value),
    Named(&'a Value),
}

fn entries<'a>(schema: &'a Value, key: &str) -> Vec<(&'a String, &'a Value)> {
    let entries = schema.get(key).and_then(Value::as_object);
    entries.into_iter().flat_map(Map::iter).collect()
}

/// The words that an enumeration knows, in quotes.
fn words(schema: &Value) -> Vec<String> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let documented = schema.get("oneOf").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .chain(
            documented
                .into_iter()
                .flatten()
                .filter_map(|it| it.get("const")),
        )
        .filter(|word| !word.is_null())
        .map(Value::to_string)
        .collect()
}

fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null) => "unset".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn limit(schema: &Value) -> String {
    let bound = |key| {
        schema
            .get(key)
            .and_then(Value::as_u64)
            .map(|it| it.to_string())
    };
    match (bound("minimum"), bound("maximum")) {
        (Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}"),
        (Some(minimum), None) if minimum == "0" => String::new(),
        (Some(minimum), None) => format!("at least {minimum}"),
        (None, Some(maximum)) => format!("at most {maximum}"),
        (None, None) => String::new(),
    }
}

fn description(schema: &Value) -> &str {
    schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|")
}

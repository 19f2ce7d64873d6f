//! Whether a plugin's configuration is what the plugin expects, said at the place where it was
//! written.

use mortise_plugin_api::Error;
use serde_json::Value;

use super::error::LoadError;
use crate::config::{Config, did_you_mean};
use crate::schema::{Issue, Schema, escaped, unescaped};

/// Checks the configuration of an instance against the plugin's schema.
///
/// `entry` is the index among `[[plugins.load]]`, for those that have one.
pub(super) fn check(
    config: &Config,
    entry: Option<usize>,
    instance: &str,
    settings: &Value,
    schema: &Value,
) -> Result<(), Vec<LoadError>> {
    let compiled = Schema::compile(schema).map_err(|source| {
        vec![LoadError::SettingsSchema {
            instance: instance.to_owned(),
            source,
        }]
    })?;
    let Err(issues) = compiled.validate(settings) else {
        return Ok(());
    };
    let issues = issues.iter().filter(|issue| {
        // What the branches of a choice say is in the list of what may be chosen.
        let mut same_place = issues
            .iter()
            .filter(|it| it.instance_path == issue.instance_path);
        let widest = same_place.rfind(|it| choices(it, schema).is_some());
        widest.is_none_or(|widest| std::ptr::eq(widest, *issue))
    });
    let mistakes = issues.map(|issue| mistake(instance, issue, schema));
    Err(mistakes
        .map(|mistake| mistake.into_error(config, entry, instance))
        .collect())
}

/// What is wrong with a value, although it fits the schema: the plugin itself has said so.
pub(super) fn refused(
    config: &Config,
    entry: Option<usize>,
    instance: &str,
    error: &Error,
) -> LoadError {
    let path = error.issues().first().map_or("", |issue| &issue.path);
    // A lone slash stands for the whole table.
    let path = path.trim_end_matches('/');
    let mistake = Mistake {
        pointer: path.to_owned(),
        message: sentence(instance, &dotted(path), error.message()),
        help: None,
    };
    mistake.into_error(config, entry, instance)
}

/// What a plugin said of its settings, without those that come from a variable or a file.
pub(super) fn unshown(
    config: &Config,
    entry: Option<usize>,
    settings: &Value,
    said: &str,
) -> String {
    let Some(entry) = entry else {
        return said.to_owned();
    };
    let above = format!("/plugins/load/{entry}/config");
    let places = config.references_below(&above);
    let secrets = places.filter_map(|place| settings.pointer(&place[above.len()..])?.as_str());
    secrets.fold(said.to_owned(), |said, secret| {
        // Quoted as serde quotes it, and plain.
        let quoted = format!("{secret:?}");
        said.replace(&quoted[1..quoted.len() - 1], REDACTED)
            .replace(secret, REDACTED)
    })
}

const REDACTED: &str = "[redacted]";

/// What is wrong with a value.
struct Mistake {
    /// Where, in the configuration of the instance.
    pointer: String,
    message: String,
    help: Option<String>,
}

// === impl Mistake ===

impl Mistake {
    /// At its place in the file, if it is from there.
    fn into_error(self, config: &Config, entry: Option<usize>, instance: &str) -> LoadError {
        let Self {
            pointer,
            message,
            help,
        } = self;
        match entry {
            Some(index) => {
                let pointer = format!("/plugins/load/{index}/config{pointer}");
                LoadError::Settings(Box::new(config.error_at(&pointer, message, help)))
            }
            None => LoadError::SettingsElsewhere {
                instance: instance.to_owned(),
                message,
            },
        }
    }
}

/// What is said of the setting at a place, empty for all of them.
fn sentence(instance: &str, place: &str, said: &str) -> String {
    if place.is_empty() {
        format!("the configuration of plugin '{instance}' {said}")
    } else {
        format!("`{place}` of plugin '{instance}' {said}")
    }
}

fn mistake(instance: &str, issue: &Issue, schema: &Value) -> Mistake {
    let place = dotted(&issue.instance_path);
    if let Some(key) = unknown_key(issue) {
        let known = known_keys(issue, schema);
        return Mistake {
            pointer: format!("{}/{}", issue.instance_path, escaped(key)),
            message: format!(
                "plugin '{instance}' has no setting `{}{key}`",
                prefix(&place)
            ),
            help: Some(likely_key(key, &known)),
        };
    }
    let message = match choices(issue, schema) {
        Some(choices) => sentence(instance, &place, &format!("must be one of {choices}")),
        None => sentence(instance, &place, &issue.message),
    };
    Mistake {
        pointer: issue.instance_path.clone(),
        message,
        help: None,
    }
}

/// How deep the lists of a choice may stand in each other: a schema may refer to itself.
const DEEPEST: usize = 8;

/// The values that a setting may have, where an issue is about them and they can be listed.
fn choices(issue: &Issue, schema: &Value) -> Option<String> {
    let keyword = issue.keyword.as_str();
    if !matches!(keyword, "enum" | "oneOf" | "anyOf") {
        return None;
    }
    let place = issue.schema_path.trim_start_matches('#');
    let choice = schema.pointer(place.strip_suffix(keyword)?.strip_suffix('/')?)?;
    let values: Vec<String> = values(schema, choice, DEEPEST)?
        .iter()
        .map(ToString::to_string)
        .collect();
    Some(values.join(", "))
}

/// Every value that a schema allows, where it lists them; TOML has no null.
fn values<'a>(root: &'a Value, schema: &'a Value, depth: usize) -> Option<Vec<&'a Value>> {
    let depth = depth.checked_sub(1)?;
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.strip_prefix('#')?)?;
        return values(root, target, depth);
    }
    if let Some(only) = schema.get("const") {
        return Some(vec![only]);
    }
    let is_null = schema.get("type").is_some_and(|kind| kind == "null");
    if is_null {
        return Some(Vec::new());
    }
    let list = |key| schema.get(key).and_then(Value::as_array);
    if let Some(values) = list("enum") {
        return Some(values.iter().filter(|value| !value.is_null()).collect());
    }
    let branches = list("oneOf").or_else(|| list("anyOf"))?.iter();
    let listed: Option<Vec<_>> = branches.map(|branch| values(root, branch, depth)).collect();
    Some(listed?.concat())
}

fn unknown_key(issue: &Issue) -> Option<&str> {
    let key = issue.params.get("additionalProperty");
    key.filter(|_| issue.keyword == "additionalProperties")?
        .as_str()
}

/// The keys that the table of an unknown key may have.
fn known_keys<'a>(issue: &Issue, schema: &'a Value) -> Vec<&'a str> {
    let place = issue.schema_path.trim_start_matches('#');
    let table = place
        .find("/additionalProperties")
        .map_or("", |end| &place[..end]);
    let properties = schema
        .pointer(table)
        .and_then(|table| table.get("properties"))
        .and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect()
}

fn likely_key(key: &str, known: &[&str]) -> String {
    did_you_mean(key, known, "it has").unwrap_or_else(|| "it takes no settings there".to_owned())
}

/// A JSON pointer as people write it.
fn dotted(pointer: &str) -> String {
    let segments: Vec<String> = pointer.split('/').skip(1).map(unescaped).collect();
    segments.join(".")
}

fn prefix(place: &str) -> String {
    if place.is_empty() {
        String::new()
    } else {
        format!("{place}.")
    }
}

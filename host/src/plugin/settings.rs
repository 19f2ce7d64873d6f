//! Whether a plugin's configuration is what the plugin expects, said at the place where it was
//! written.

use mortise_plugin_api::Error;
use serde_json::Value;

use super::error::LoadError;
use crate::config::Config;
use crate::schema::{Issue, Schema, escaped};

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
    let mistakes = issues.iter().map(|issue| mistake(instance, issue, schema));
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
    let message = sentence(instance, &place, &issue.message);
    Mistake {
        pointer: issue.instance_path.clone(),
        message,
        help: None,
    }
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
    let nearest = known
        .iter()
        .map(|candidate| (strsim::osa_distance(key, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3);
    match nearest {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => "it takes no settings there".to_owned(),
        None => format!("it has {}", known.join(", ")),
    }
}

/// A JSON pointer as people write it.
fn dotted(pointer: &str) -> String {
    let segments: Vec<String> = pointer
        .split('/')
        .skip(1)
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
        .collect();
    segments.join(".")
}

fn prefix(place: &str) -> String {
    if place.is_empty() {
        String::new()
    } else {
        format!("{place}.")
    }
}

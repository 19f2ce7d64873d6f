//! Whether a plugin's configuration is what the plugin expects, said at the place where it was
//! written.

use serde_json::Value;

use super::error::LoadError;
use crate::config::Config;
use crate::schema::{Issue, Schema};

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
    let said = issues
        .iter()
        .flat_map(|issue| mistakes(instance, issue, settings, schema));
    Err(said
        .map(
            |Mistake {
                 pointer,
                 message,
                 help,
             }| match entry {
                Some(index) => {
                    let pointer = format!("/plugins/load/{index}/config{pointer}");
                    LoadError::Settings(Box::new(config.error_at(&pointer, message, help)))
                }
                None => LoadError::SettingsElsewhere {
                    instance: instance.to_owned(),
                    message,
                },
            },
        )
        .collect())
}

/// What is wrong with a value.
struct Mistake {
    /// Where, in the configuration of the instance.
    pointer: String,
    message: String,
    help: Option<String>,
}

fn mistakes(instance: &str, issue: &Issue, settings: &Value, schema: &Value) -> Vec<Mistake> {
    let place = dotted(&issue.instance_path);
    let unknown = unknown_keys(issue, settings);
    if !unknown.is_empty() {
        let known = known_keys(issue, schema);
        let mistakes = unknown.into_iter().map(|key| Mistake {
            pointer: format!("{}/{}", issue.instance_path, escaped(key)),
            message: format!(
                "plugin '{instance}' has no setting `{}{key}`",
                prefix(&place)
            ),
            help: Some(likely_key(key, &known)),
        });
        return mistakes.collect();
    }
    let message = if place.is_empty() {
        format!("the configuration of plugin '{instance}' {}", issue.message)
    } else {
        format!("`{place}` of plugin '{instance}' {}", issue.message)
    };
    vec![Mistake {
        pointer: issue.instance_path.clone(),
        message,
        help: None,
    }]
}

fn unknown_keys<'a>(issue: &'a Issue, settings: &'a Value) -> Vec<&'a str> {
    if issue.keyword == "additionalProperties" {
        let key = issue.params.get("additionalProperty");
        return key.and_then(Value::as_str).into_iter().collect();
    }
    // A table that has no keys at all is told as one issue.
    if issue
        .schema_path
        .ends_with("/additionalProperties/false schema")
    {
        let table = settings.pointer(&issue.instance_path);
        let keys = table.and_then(Value::as_object).into_iter();
        return keys
            .flat_map(|table| table.keys().map(String::as_str))
            .collect();
    }
    Vec::new()
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

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

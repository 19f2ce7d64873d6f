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
    let said = issues.iter().map(|issue| {
        let place = dotted(&issue.instance_path);
        match unknown_key(issue) {
            Some(key) => (
                format!("{}/{}", issue.instance_path, escaped(key)),
                format!("plugin '{instance}' has no setting `{}{key}`", prefix(&place)),
                likely_key(key, &known_keys(issue, schema)),
            ),
            None if place.is_empty() => (
                issue.instance_path.clone(),
                format!("the configuration of plugin '{instance}' {}", issue.message),
                None,
            ),
            None => (
                issue.instance_path.clone(),
                format!("`{place}` of plugin '{instance}' {}", issue.message),
                None,
            ),
        }
    });
    Err(said
        .map(|(pointer, message, help)| match entry {
            Some(index) => {
                let pointer = format!("/plugins/load/{index}/config{pointer}");
                LoadError::Settings(Box::new(config.error_at(&pointer, message, help)))
            }
            None => LoadError::SettingsElsewhere {
                instance: instance.to_owned(),
                message,
            },
        })
        .collect())
}

fn unknown_key(issue: &Issue) -> Option<&str> {
    if issue.keyword != "additionalProperties" {
        return None;
    }
    issue.params.get("additionalProperty")?.as_str()
}

/// The keys that the table of an unknown key may have.
fn known_keys<'a>(issue: &Issue, schema: &'a Value) -> Vec<&'a str> {
    let place = issue.schema_path.trim_start_matches('#');
    let table = place.rsplit_once('/').map_or("", |(table, _)| table);
    let properties = schema
        .pointer(table)
        .and_then(|table| table.get("properties"))
        .and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect()
}

fn likely_key(key: &str, known: &[&str]) -> Option<String> {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::osa_distance(key, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3);
    match nearest {
        Some((_, candidate)) => Some(format!("did you mean `{candidate}`?")),
        None if known.is_empty() => Some("it takes no settings there".to_owned()),
        None => Some(format!("it has {}", known.join(", "))),
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

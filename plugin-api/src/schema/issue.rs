//! What Ajv says about a value that breaks a schema, word for word.

use std::collections::HashMap;

use jsonschema::{ValidationError, error::ValidationErrorKind as Kind};
use serde_json::{Value, json};

use super::MOST_ISSUES;
use super::order::Condition;
use crate::pointer::unescaped;

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Issue {
    /// Where in the value, as a JSON pointer; empty for the whole of it.
    pub instance_path: String,
    /// The keyword's place in the schema, as `#/properties/userId/type`.
    pub schema_path: String,
    /// The keyword.
    pub keyword: String,
    /// What the keyword wanted.
    pub params: Value,
    /// A sentence that follows the name of the value.
    pub message: String,
}

/// A keyword's words: what it wanted and how it says so.
struct Words {
    params: Value,
    message: String,
}

fn words(params: Value, message: impl Into<String>) -> Words {
    Words {
        params,
        message: message.into(),
    }
}

impl Issue {
    /// Where in the value, as names and numbers; a property that is missing counts.
    pub fn place(&self) -> Vec<Value> {
        let segments = self.instance_path.split('/').skip(1);
        let mut place: Vec<Value> = segments
            .map(|segment| match segment.parse::<usize>() {
                Ok(index) => index.into(),
                Err(_) => unescaped(segment).into(),
            })
            .collect();
        place.extend(self.params.get("missingProperty").cloned());
        place
    }

    /// That of a value which does not fit, of which nothing more is known.
    pub(super) fn of_all() -> Self {
        Self {
            instance_path: String::new(),
            schema_path: "#".to_owned(),
            keyword: "$ref".to_owned(),
            params: json!({}),
            message: "must match the schema, and is too large or nested too deep to say where it does not"
                .to_owned(),
        }
    }

    /// The issue of an `if` whose `then` or `else` failed.
    pub(super) fn of_condition(condition: &Condition) -> Self {
        let failing_keyword = condition.failing_keyword;
        Self {
            instance_path: condition.instance_path.clone(),
            schema_path: condition.schema_path.clone(),
            keyword: "if".to_owned(),
            params: json!({ "failingKeyword": failing_keyword }),
            message: format!("must match \"{failing_keyword}\" schema"),
        }
    }
}

/// The issues of one error in this value: one for each property that is too many.
pub(super) fn issues(error: &ValidationError<'_>, root: &Value, value: &Value) -> Vec<Issue> {
    let path = error.schema_path().as_str();
    let parent_path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let parent = root.pointer(parent_path).unwrap_or(&Value::Null);
    let (keyword, schema_path, words) = match error.kind() {
        Kind::FalseSchema => match surplus(error, path, value) {
            Some(names) => (
                "additionalProperties",
                format!("#{path}"),
                each(names, "additionalProperty", "additional"),
            ),
            None => (
                "false schema",
                format!("#{path}/false schema"),
                vec![words(json!({}), "boolean schema is false")],
            ),
        },
        Kind::Required { property } => required(property, error.instance(), root, path),
        Kind::Contains => (
            "contains",
            format!("#{parent_path}/contains"),
            vec![contains(parent)],
        ),
        Kind::PropertyNames { error } => {
            let name = error.instance().as_ref();
            (
                "propertyNames",
                format!("#{}", until(path, "propertyNames")),
                vec![words(
                    json!({ "propertyName": name }),
                    "property name must be valid",
                )],
            )
        }
        kind => (
            kind.keyword(),
            format!("#{path}"),
            simple(kind, error.instance(), parent),
        ),
    };
    words
        .into_iter()
        .map(|words| Issue {
            instance_path: error.instance_path().as_str().to_owned(),
            schema_path: schema_path.clone(),
            keyword: keyword.to_owned(),
            params: words.params,
            message: words.message,
        })
        .collect()
}

/// The properties of an object that may have none: for `additionalProperties: false` without any
/// `properties`, the validator tells of the first one's value, at the place of the object.
fn surplus<'v>(
    error: &ValidationError<'_>,
    path: &str,
    value: &'v Value,
) -> Option<impl Iterator<Item = &'v String>> {
    let object = value.pointer(error.instance_path().as_str())?;
    let is_keyword = path.ends_with("/additionalProperties") && error.instance().as_ref() != object;
    let object = object.as_object().filter(|_| is_keyword)?;
    Some(object.keys())
}

/// The words of the keywords that speak for themselves.
fn simple(kind: &Kind, instance: &Value, parent: &Value) -> Vec<Words> {
    let one = match kind {
        Kind::AdditionalProperties { unexpected } => {
            return each(unexpected, "additionalProperty", "additional");
        }
        Kind::UnevaluatedProperties { unexpected } => {
            return each(unexpected, "unevaluatedProperty", "unevaluated");
        }
        Kind::AdditionalItems { limit } => at_most(&json!(limit), "items"),
        Kind::UnevaluatedItems { unexpected } => {
            let all = instance.as_array().map_or(0, Vec::len);
            let length = all.saturating_sub(unexpected.len());
            words(
                json!({ "len": length }),
                format!("must NOT have more than {length} items"),
            )
        }
        Kind::MaxItems { limit } => at_most(&json!(limit), "items"),
        Kind::MinItems { limit } => at_least(*limit, "items"),
        Kind::MaxLength { limit } => at_most(&json!(limit), "characters"),
        Kind::MinLength { limit } => at_least(*limit, "characters"),
        Kind::MaxProperties { limit } => at_most(&json!(limit), "properties"),
        Kind::MinProperties { limit } => at_least(*limit, "properties"),
        Kind::Maximum { limit } => compared("<=", limit),
        Kind::Minimum { limit } => compared(">=", limit),
        Kind::ExclusiveMaximum { limit } => compared("<", limit),
        Kind::ExclusiveMinimum { limit } => compared(">", limit),
        Kind::MultipleOf { multiple_of } => {
            let multiple_of = number(&json!(multiple_of));
            words(
                json!({ "multipleOf": multiple_of }),
                format!("must be multiple of {multiple_of}"),
            )
        }
        Kind::Type { .. } => wrong_type(parent.get("type").unwrap_or(&Value::Null)),
        Kind::Enum { options } => words(
            json!({ "allowedValues": **options }),
            "must be equal to one of the allowed values",
        ),
        Kind::Constant { expected_value } => words(
            json!({ "allowedValue": **expected_value }),
            "must be equal to constant",
        ),
        Kind::Pattern { .. }
        | Kind::BacktrackLimitExceeded { .. }
        | Kind::RegexEngineFailure { .. } => {
            let pattern = parent.get("pattern").and_then(Value::as_str);
            let pattern = pattern.unwrap_or_default();
            words(
                json!({ "pattern": pattern }),
                format!("must match pattern \"{pattern}\""),
            )
        }
        Kind::Format { format } => words(
            json!({ "format": format }),
            format!("must match format \"{format}\""),
        ),
        Kind::UniqueItems => duplicates(instance, parent),
        Kind::Not { .. } => words(json!({}), "must NOT be valid"),
        Kind::AnyOf { .. } => words(json!({}), "must match a schema in anyOf"),
        Kind::OneOfNotValid { .. } => words(
            json!({ "passingSchemas": null }),
            "must match exactly one schema in oneOf",
        ),
        Kind::OneOfMultipleValid { context } => {
            let passing = context.iter().enumerate();
            let passing = passing.filter(|(_, errors)| errors.is_empty());
            let passing: Vec<_> = passing.map(|(index, _)| index).take(2).collect();
            words(
                json!({ "passingSchemas": passing }),
                "must match exactly one schema in oneOf",
            )
        }
        other => words(
            json!({}),
            format!("must pass \"{}\" keyword validation", other.keyword()),
        ),
    };
    vec![one]
}

fn each<'n>(
    unexpected: impl IntoIterator<Item = &'n String>,
    param: &str,
    what: &str,
) -> Vec<Words> {
    let message = format!("must NOT have {what} properties");
    unexpected
        .into_iter()
        .take(MOST_ISSUES)
        .map(|name| words(json!({ param: name }), message.clone()))
        .collect()
}

fn at_most(limit: &Value, what: &str) -> Words {
    let message = format!("must NOT have more than {limit} {what}");
    words(json!({ "limit": limit }), message)
}

fn at_least(limit: u64, what: &str) -> Words {
    let message = format!("must NOT have fewer than {limit} {what}");
    words(json!({ "limit": limit }), message)
}

fn compared(comparison: &str, limit: &Value) -> Words {
    let limit = number(limit);
    words(
        json!({ "comparison": comparison, "limit": limit }),
        format!("must be {comparison} {limit}"),
    )
}

fn wrong_type(wanted: &Value) -> Words {
    let names = match wanted {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => vec![name.as_str().unwrap_or_default()],
    };
    let message = format!("must be {}", names.join(","));
    words(json!({ "type": wanted }), message)
}

fn contains(parent: &Value) -> Words {
    let minimum = parent
        .get("minContains")
        .and_then(Value::as_u64)
        .unwrap_or(1);
    match parent.get("maxContains").and_then(Value::as_u64) {
        None => words(
            json!({ "minContains": minimum }),
            format!("must contain at least {minimum} valid item(s)"),
        ),
        Some(maximum) => words(
            json!({ "minContains": minimum, "maxContains": maximum }),
            format!("must contain at least {minimum} and no more than {maximum} valid item(s)"),
        ),
    }
}

/// A missing property, wanted by `required` or because another one is there.
fn required(
    property: &Value,
    instance: &Value,
    root: &Value,
    path: &str,
) -> (&'static str, String, Vec<Words>) {
    let missing = property.as_str().unwrap_or_default();
    let Some((keyword, path)) = dependency_keyword(path) else {
        let words = words(
            json!({ "missingProperty": missing }),
            format!("must have required property '{missing}'"),
        );
        return ("required", format!("#{path}"), vec![words]);
    };
    let dependencies = root.pointer(path).and_then(Value::as_object);
    let (present, wanted) = dependencies
        .into_iter()
        .flatten()
        .filter_map(|(present, wanted)| Some((present, wanted.as_array()?)))
        .find(|(present, wanted)| instance.get(present).is_some() && wanted.contains(property))
        .map(|(present, wanted)| {
            let wanted: Vec<_> = wanted.iter().filter_map(Value::as_str).collect();
            (present.as_str(), wanted)
        })
        .unwrap_or_default();
    let noun = if wanted.len() > 1 {
        "properties"
    } else {
        "property"
    };
    let list = wanted.join(", ");
    let words = words(
        json!({
            "property": present,
            "missingProperty": missing,
            "depsCount": wanted.len(),
            "deps": list,
        }),
        format!("must have {noun} {list} when property {present} is present"),
    );
    (keyword, format!("#{path}"), vec![words])
}

/// The keyword that wants a property because of another one, and where it stands.
fn dependency_keyword(path: &str) -> Option<(&'static str, &str)> {
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    for keyword in ["dependentRequired", "dependencies"] {
        for path in [path, above] {
            if path.rsplit('/').next() == Some(keyword) {
                return Some((keyword, path));
            }
        }
    }
    None
}

/// Ajv looks from the end, and names a pair the other way round where the items are plain.
fn duplicates(instance: &Value, parent: &Value) -> Words {
    let items = instance.as_array().map(Vec::as_slice).unwrap_or_default();
    let plain = |kind: &Value| {
        kind.as_str()
            .is_some_and(|it| it != "array" && it != "object")
    };
    let all_plain = match parent.get("items").and_then(|it| it.get("type")) {
        Some(Value::Array(kinds)) => !kinds.is_empty() && kinds.iter().all(plain),
        Some(kind) => plain(kind),
        None => false,
    };
    let mut seen = HashMap::new();
    let mut like = |(i, item)| Some((i, seen.insert(item, i)?));
    let numbered = items.iter().enumerate();
    let pair = if all_plain {
        numbered.rev().find_map(like)
    } else {
        numbered.fold(None, |last, it| like(it).or(last))
    };
    let (i, j) = pair.unwrap_or_default();
    words(
        json!({ "i": i, "j": j }),
        format!("must NOT have duplicate items (items ## {j} and {i} are identical)"),
    )
}

/// A number as JavaScript writes it: `1.0` is `1`.
fn number(value: &Value) -> Value {
    match value.as_f64() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and small"
        )]
        Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
            json!(float as i64)
        }
        _ => value.clone(),
    }
}

/// A path up to and with its last segment of this name.
fn until<'a>(path: &'a str, segment: &str) -> &'a str {
    match path.rfind(segment) {
        Some(start) => &path[..start + segment.len()],
        None => path,
    }
}

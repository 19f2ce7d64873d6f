//! The order in which Ajv reports.
//!
//! Ajv checks a schema's keywords in an order of its own, whatever their order in the text, and
//! reports what is below a combinator before the combinator. A `Rank` sorts the same way.

use serde_json::Value;

use crate::pointer::{escaped, unescaped};

/// Where in the order an issue comes: one step for each keyword on the way to it.
pub(super) type Rank = Vec<(usize, usize)>;

/// Where an issue comes and which conditions failed because of it.
pub(super) struct Position {
    pub(super) rank: Rank,
    pub(super) conditions: Vec<Condition>,
}

/// A `then` or `else` on the way to an issue.
pub(super) struct Condition {
    pub(super) rank: Rank,
    pub(super) instance_path: String,
    pub(super) schema_path: String,
    pub(super) failing_keyword: &'static str,
}

/// After everything below the same keyword.
const LAST: usize = usize::MAX;

/// Ajv's order: numbers, texts, any type, arrays, objects.
const KEYWORDS: [&str; 43] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "type",
    "maximum",
    "minimum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "multipleOf",
    "maxLength",
    "minLength",
    "pattern",
    "format",
    "const",
    "enum",
    "not",
    "anyOf",
    "oneOf",
    "allOf",
    "if",
    "contentEncoding",
    "contentMediaType",
    FIRST_FOR_ARRAYS,
    "minItems",
    "uniqueItems",
    "prefixItems",
    "additionalItems",
    "items",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
    FIRST_FOR_OBJECTS,
    "minProperties",
    "required",
    "propertyNames",
    "additionalProperties",
    "dependencies",
    "properties",
    "patternProperties",
    "unevaluatedProperties",
    "dependentRequired",
    "dependentSchemas",
];

const FIRST_FOR_ARRAYS: &str = "maxItems";
const FIRST_FOR_OBJECTS: &str = "maxProperties";
/// Where the keywords for arrays begin.
const ARRAYS: usize = 22;
/// Where the keywords for objects begin.
const OBJECTS: usize = 32;

/// Follows an evaluation path through the schema.
pub(super) fn position(root: &Value, evaluation_path: &str, instance_path: &str) -> Position {
    let mut segments = evaluation_path.split('/').skip(1).map(unescaped).peekable();
    let mut instance = instance_path.split('/').skip(1);
    let mut consumed = 0;
    let mut walked = String::new();
    let mut position = Position {
        rank: Rank::new(),
        conditions: Vec::new(),
    };
    let mut node = root;
    while let Some(keyword) = segments.next() {
        let rank = keyword_rank(&keyword, node);
        let value = node.get(&keyword).unwrap_or(&Value::Null);
        if segments.peek().is_none() {
            // What a property drags along comes before the schemas that it drags along.
            let last = if keyword == "dependencies" { 0 } else { LAST };
            position.rank.push((rank, last));
            break;
        }
        let schema_path = format!("#{walked}/if");
        walked = format!("{walked}/{}", escaped(&keyword));
        if matches!(
            keyword.as_str(),
            "properties"
                | "patternProperties"
                | "additionalProperties"
                | "items"
                | "prefixItems"
                | "additionalItems"
                | "unevaluatedItems"
                | "unevaluatedProperties"
        ) {
            consumed += instance.next().map_or(0, |segment| segment.len() + 1);
        }
        match (keyword.as_str(), value) {
            ("then" | "else", _) => {
                let mut end = position.rank.clone();
                end.push((rank, LAST));
                position.conditions.push(Condition {
                    rank: end,
                    instance_path: instance_path[..consumed].to_owned(),
                    schema_path,
                    failing_keyword: if keyword == "then" { "then" } else { "else" },
                });
                position.rank.push((rank, 0));
                node = value;
            }
            ("$ref", Value::String(target)) => {
                position.rank.push((rank, 0));
                node = target
                    .strip_prefix('#')
                    .and_then(|pointer| root.pointer(pointer))
                    .unwrap_or(&Value::Null);
            }
            ("items" | "unevaluatedItems" | "additionalItems", Value::Object(_)) => {
                let index = instance_path[..consumed].rsplit('/').next();
                let index = index.and_then(|index| index.parse().ok()).unwrap_or(0);
                position.rank.push((rank, index));
                node = value;
            }
            (
                "properties" | "patternProperties" | "dependentSchemas" | "dependencies",
                Value::Object(entries),
            ) => {
                let name = segments.next().unwrap_or_default();
                let index = entries.keys().position(|key| *key == name).unwrap_or(0);
                position.rank.push((rank, index + 1));
                walked = format!("{walked}/{}", escaped(&name));
                node = entries.get(&name).unwrap_or(&Value::Null);
            }
            (_, Value::Array(branches)) => {
                let name = segments.next().unwrap_or_default();
                let index: usize = name.parse().unwrap_or(0);
                position.rank.push((rank, index));
                walked = format!("{walked}/{name}");
                node = branches.get(index).unwrap_or(&Value::Null);
            }
            _ => {
                position.rank.push((rank, 0));
                node = value;
            }
        }
    }
    position
}

fn keyword_rank(keyword: &str, node: &Value) -> usize {
    let keyword = match keyword {
        "then" | "else" => "if",
        "type" => type_stands_at(node),
        other => other,
    };
    let rank = KEYWORDS.iter().position(|it| *it == keyword);
    rank.unwrap_or(KEYWORDS.len())
}

/// Ajv checks a single array or object type together with the keywords for that type, if the
/// schema has any.
fn type_stands_at(node: &Value) -> &'static str {
    let (first, mut group) = match node.get("type").and_then(Value::as_str) {
        Some("array") => (FIRST_FOR_ARRAYS, KEYWORDS[ARRAYS..OBJECTS].iter()),
        Some("object") => (FIRST_FOR_OBJECTS, KEYWORDS[OBJECTS..].iter()),
        _ => return "type",
    };
    if group.any(|keyword| node.get(keyword).is_some()) {
        first
    } else {
        "type"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_begin_where_the_constants_say() {
        assert_eq!(KEYWORDS[ARRAYS], FIRST_FOR_ARRAYS);
        assert_eq!(KEYWORDS[OBJECTS], FIRST_FOR_OBJECTS);
    }
}

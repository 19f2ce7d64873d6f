//! How far a schema goes once its references are followed: a short one may say a great deal, and
//! whoever sends it chooses.

use std::collections::HashMap;

use serde_json::Value;

use crate::request::decode;

/// How far a schema goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The values in it; those behind a reference count for each reference.
    parts: u64,
    /// The references in it that lead back into what they stand in.
    loops: u64,
    /// Whether a part of it judges one value after the other: as much may be wrong as there are.
    judges_each: bool,
    /// Whether it does so below a choice, whose branches gather everything that is wrong.
    gathers: bool,
}

/// How much of what is wrong with a value can be found in time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    All,
    First,
    None,
}

/// A schema with more parts is refused: checking a value may visit each.
const MOST_PARTS: u64 = 100_000;
/// How deep references and values may stand in each other.
const DEEPEST: usize = 256;
/// How many resources of its own, each with an `$id`, a schema may have.
const MOST_RESOURCES: usize = 1_000;
/// What may be visited to find everything that is wrong with a value.
const MOST_VISITS: u64 = 10_000_000;
/// Of a value with more values in it, not everything that is wrong is looked for.
const MOST_VALUES: u64 = 10_000;

/// Where a schema refers to another one.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Where a schema has a name for references.
const ANCHORS: [&str; 2] = ["$anchor", "$dynamicAnchor"];

/// Where one of several schemas counts.
const CHOICES: [&str; 2] = ["anyOf", "oneOf"];
/// Where one schema is for many values.
const FOR_EACH: [&str; 7] = [
    "items",
    "additionalItems",
    "unevaluatedItems",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
];

/// A schema that is being measured.
struct Measure<'a> {
    /// What a pointer may start from: where names hide each other, what is largest counts.
    resources: Vec<&'a Value>,
    anchors: HashMap<&'a str, Vec<&'a Value>>,
    /// By address; `None` while it is being measured.
    known: HashMap<*const Value, Option<Extent>>,
}

// === impl Extent ===

impl Extent {
    /// Measures a schema; an error says why it is too large.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let mut measure = Measure {
            resources: vec![schema],
            anchors: HashMap::new(),
            known: HashMap::new(),
        };
        measure.find_names(schema, 0)?;
        let extent = measure.extent(schema, 0)?;
        if extent.parts > MOST_PARTS {
            return Err(format!(
                "it has more than {MOST_PARTS} parts once its references are followed"
            ));
        }
        Ok(extent)
    }

    /// How far to look for what is wrong with a value: each level of it may be visited by each of
    /// the loops, and each value in it may be wrong in each part.
    pub(super) fn search(self, value: &Value) -> Search {
        if self.loops > 1 {
            let visits = self.loops.saturating_pow(depth(value));
            if visits.saturating_mul(self.parts) > MOST_VISITS {
                return Search::None;
            }
        }
        let mut left = MOST_VALUES.min(MOST_VISITS / self.parts.max(1));
        match has_more(value, &mut left) {
            false => Search::All,
            true if self.gathers => Search::None,
            true => Search::First,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            parts: self.parts.saturating_add(other.parts),
            loops: self.loops.saturating_add(other.loops),
            judges_each: self.judges_each || other.judges_each,
            gathers: self.gathers || other.gathers,
        }
    }

    fn at_least(self, other: Self) -> Self {
        Self {
            parts: self.parts.max(other.parts),
            loops: self.loops.max(other.loops),
            judges_each: self.judges_each || other.judges_each,
            gathers: self.gathers || other.gathers,
        }
    }
}

// === impl Measure ===

impl<'a> Measure<'a> {
    fn find_names(&mut self, value: &'a Value, depth: usize) -> Result<(), String> {
        check_depth(depth)?;
        if let Value::Object(members) = value {
            let is_resource = members.get("$id").or_else(|| members.get("id"));
            if depth > 0 && is_resource.is_some_and(Value::is_string) {
                self.resources.push(value);
                if self.resources.len() > MOST_RESOURCES {
                    return Err(format!("it has more than {MOST_RESOURCES} resources"));
                }
            }
            let anchors = ANCHORS.iter().filter_map(|key| members.get(*key)?.as_str());
            for anchor in anchors {
                self.anchors.entry(anchor).or_default().push(value);
            }
        }
        for child in children(value) {
            self.find_names(child, depth + 1)?;
        }
        Ok(())
    }

    fn extent(&mut self, value: &'a Value, depth: usize) -> Result<Extent, String> {
        const ONE: Extent = Extent {
            parts: 1,
            loops: 0,
            judges_each: false,
            gathers: false,
        };
        const LOOP: Extent = Extent {
            loops: 1,
            judges_each: true,
            ..ONE
        };

        if !value.is_object() && !value.is_array() {
            return Ok(ONE);
        }
        check_depth(depth)?;
        let address = std::ptr::from_ref(value);
        match self.known.get(&address) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Ok(LOOP),
            None => {}
        }
        self.known.insert(address, None);
        let mut extent = ONE;
        for child in children(value) {
            extent = extent.and(self.extent(child, depth + 1)?);
        }
        let references = REFERENCES.iter().filter_map(|key| value.get(key)?.as_str());
        for reference in references {
            extent = extent.and(self.behind(reference, depth + 1)?);
        }
        let is_schema = |key: &&str| value.get(key).is_some_and(|it| !it.is_boolean());
        extent.judges_each |= FOR_EACH.iter().any(is_schema);
        extent.gathers |= extent.judges_each && CHOICES.iter().any(is_schema);
        self.known.insert(address, Some(extent));
        Ok(extent)
    }

    /// What a reference leads to; one that leads nowhere is no business of this.
    fn behind(&mut self, reference: &str, depth: usize) -> Result<Extent, String> {
        let (_, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = decode(fragment, b'+');
        let targets: Vec<&'a Value> = if fragment.is_empty() || fragment.starts_with('/') {
            let resources = self.resources.iter();
            resources.filter_map(|it| it.pointer(&fragment)).collect()
        } else {
            let anchors = self.anchors.get(fragment.as_str());
            anchors.cloned().unwrap_or_default()
        };
        let mut extent = Extent::default();
        for target in targets {
            extent = extent.at_least(self.extent(target, depth)?);
        }
        Ok(extent)
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Object(members) => Box::new(members.values()),
        Value::Array(items) => Box::new(items.iter()),
        _ => Box::new(std::iter::empty()),
    }
}

fn check_depth(depth: usize) -> Result<(), String> {
    if depth <= DEEPEST {
        return Ok(());
    }
    Err(format!(
        "its references and values stand in each other more than {DEEPEST} deep"
    ))
}

/// Whether there are more values in a value than that.
fn has_more(value: &Value, left: &mut u64) -> bool {
    if *left == 0 {
        return true;
    }
    *left -= 1;
    children(value).any(|child| has_more(child, left))
}

/// How many values stand in each other.
fn depth(value: &Value) -> u32 {
    let deepest = children(value).map(depth).max();
    deepest.map_or(0, |below| below.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::Schema;
    use super::*;

    /// Each level says the next one twice.
    fn doubling(levels: usize, leaf: Value, by: &str) -> Value {
        let mut definitions = Map::new();
        for level in 0..levels {
            let next = json!({ "$ref": by.replace("NEXT", &format!("a{}", level + 1)) });
            let mut definition = json!({ "allOf": [next, next] });
            if by.starts_with("#a") || by.starts_with("#NEXT") {
                definition["$anchor"] = format!("a{level}").into();
            }
            if by.starts_with("urn") {
                definition["$id"] = format!("urn:a{level}").into();
            }
            definitions.insert(format!("a{level}"), definition);
        }
        let mut leaf = leaf;
        leaf["$anchor"] = format!("a{levels}").into();
        leaf["$id"] = format!("urn:a{levels}").into();
        definitions.insert(format!("a{levels}"), leaf);
        json!({ "$defs": definitions, "$ref": by.replace("NEXT", "a0") })
    }

    #[test]
    fn a_short_schema_that_says_too_much_is_refused() {
        for by in ["#/$defs/NEXT", "#/%24defs/NEXT", "#NEXT", "urn:NEXT"] {
            let schema = doubling(40, json!({ "type": "object" }), by);
            let error = Schema::compile(&schema).unwrap_err().to_string();
            assert!(error.contains("more than 100000 parts"), "{by}: {error}");
        }
        let few = doubling(8, json!({ "type": "object" }), "#/$defs/NEXT");
        assert!(Schema::compile(&few).is_ok());
    }

    #[test]
    fn references_that_stand_in_each_other_without_end_are_refused() {
        let next = |level: usize| json!({ "$ref": format!("#/$defs/a{}", level + 1) });
        let mut definitions: Map<String, Value> = (0..20_000)
            .map(|level| (format!("a{level}"), next(level)))
            .collect();
        definitions.insert("a20000".into(), json!({ "type": "object" }));
        let schema = json!({ "$defs": definitions, "$ref": "#/$defs/a0" });
        let error = Schema::compile(&schema).unwrap_err().to_string();
        assert!(error.contains("more than 256 deep"), "{error}");
    }

    #[test]
    fn a_tree_may_refer_to_itself() {
        let schema = json!({
            "$defs": { "node": { "type": "object", "required": ["name"], "properties": {
                "name": { "type": "string" },
                "left": { "$ref": "#/$defs/node" },
                "right": { "$ref": "#/$defs/node" },
            } } },
            "$ref": "#/$defs/node",
        });
        let schema = Schema::compile(&schema).unwrap();
        let bad = json!({ "name": "a", "left": { "name": "b", "right": {} } });
        let issues = schema.validate(&bad).unwrap_err();
        assert_eq!(issues[0].instance_path, "/left/right");
    }

    #[test]
    fn what_would_be_searched_without_end_is_still_judged() {
        let schema = json!({
            "$defs": {
                "twice": { "allOf": [{ "$ref": "#/$defs/level" }, { "$ref": "#/$defs/level" }] },
                "level": { "properties": { "a": { "$ref": "#/$defs/twice" }, "end": { "const": 1 } } },
            },
            "$ref": "#/$defs/twice",
        });
        let schema = Schema::compile(&schema).unwrap();
        let nested =
            |end: u64| (0..100).fold(json!({ "end": end }), |below, _| json!({ "a": below }));
        assert!(schema.validate(&nested(1)).is_ok());
        let issues = schema.validate(&nested(2)).unwrap_err();
        assert_eq!(issues.len(), 1);
    }

    #[test]
    fn of_a_large_value_the_first_mistake_is_told_unless_a_choice_gathers_them() {
        let kinds = json!({ "items": { "enum": ["text", "image"] } });
        let plain = Schema::compile(&json!({ "properties": { "kinds": kinds } })).unwrap();
        let choice = Schema::compile(&json!({ "anyOf": [{ "type": "string" }, kinds] })).unwrap();
        let told = |schema: &Schema, value: &Value| {
            let issues = schema.validate(value).unwrap_err();
            let told = issues
                .iter()
                .map(|it| format!("{} {}", it.instance_path, it.keyword));
            told.collect::<Vec<_>>()
        };
        let mut many = vec![json!("text"); 20_000];
        many[3] = json!(1);
        many[4] = json!(2);
        assert_eq!(told(&plain, &json!({ "kinds": many })), ["/kinds/3 enum"]);
        assert_eq!(told(&choice, &json!(many)), [" $ref"]);
        many.truncate(9_000);
        let all = ["/kinds/3 enum", "/kinds/4 enum"];
        assert_eq!(told(&plain, &json!({ "kinds": many })), all);
        assert_eq!(told(&choice, &json!(many)).len(), 4);
        many = vec![json!(1); 9_000];
        assert_eq!(told(&plain, &json!({ "kinds": many })).len(), 100);
        many = vec![json!("text"); 20_000];
        assert!(plain.validate(&json!({ "kinds": many })).is_ok());
    }
}

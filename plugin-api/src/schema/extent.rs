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
}

/// A schema with more parts is refused: checking a value may visit each.
const MOST_PARTS: u64 = 100_000;
/// How deep references and values may stand in each other.
const DEEPEST: usize = 256;
/// How many resources of its own, each with an `$id`, a schema may have.
const MOST_RESOURCES: usize = 1_000;
/// What may be visited to find everything that is wrong with a value.
const MOST_VISITS: u64 = 10_000_000;

/// Where a schema refers to another one.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Where a schema has a name for references.
const ANCHORS: [&str; 2] = ["$anchor", "$dynamicAnchor"];

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

    /// Whether everything that is wrong with the value can be found in time: each level of it may be
    /// visited by each of the loops.
    pub(super) fn can_be_searched(self, value: &Value) -> bool {
        if self.loops < 2 {
            return true;
        }
        let visits = self.loops.saturating_pow(depth(value));
        visits.saturating_mul(self.parts) <= MOST_VISITS
    }

    fn and(self, other: Self) -> Self {
        Self {
            parts: self.parts.saturating_add(other.parts),
            loops: self.loops.saturating_add(other.loops),
        }
    }

    fn at_least(self, other: Self) -> Self {
        Self {
            parts: self.parts.max(other.parts),
            loops: self.loops.max(other.loops),
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
        const ONE: Extent = Extent { parts: 1, loops: 0 };

        if !value.is_object() && !value.is_array() {
            return Ok(ONE);
        }
        check_depth(depth)?;
        let address = std::ptr::from_ref(value);
        match self.known.get(&address) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Ok(Extent { parts: 1, loops: 1 }),
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
}

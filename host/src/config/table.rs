//! Tables whose keys only somebody else knows: a plugin's own configuration, a JSON Schema.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A TOML table as JSON, in the order of the file, with its secrets resolved.
///
/// It may hold secrets, so its `Debug` shows the keys alone.
#[derive(Clone, PartialEq)]
pub struct FreeTable(Value);

/// What the TOML reader calls a date: the JSON side knows texts only.
const DATE_KEY: &str = "$__toml_private_datetime";

// === impl FreeTable ===

impl FreeTable {
    /// The table, always a JSON object.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl From<Map<String, Value>> for FreeTable {
    fn from(table: Map<String, Value>) -> Self {
        Self(Value::Object(table))
    }
}

impl Default for FreeTable {
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

impl fmt::Debug for FreeTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.as_object().into_iter().flat_map(Map::keys);
        formatter.write_str("FreeTable ")?;
        formatter.debug_set().entries(keys).finish()
    }
}

impl<'de> Deserialize<'de> for FreeTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Value::Object(Map::deserialize(deserializer)?);
        dates_to_text(&mut table);
        Ok(Self(table))
    }
}

fn dates_to_text(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(dates_to_text),
        Value::Object(entries) => match entries.get_mut(DATE_KEY) {
            Some(date) => *value = date.take(),
            None => entries.values_mut().for_each(dates_to_text),
        },
        _ => {}
    }
}

impl JsonSchema for FreeTable {
    fn schema_name() -> Cow<'static, str> {
        "FreeTable".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kind": "table" })
    }
}

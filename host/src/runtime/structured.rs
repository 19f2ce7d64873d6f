//! Structured output: the schema for the model, the value from its answer, and repairs.

use mortise_plugin_api::{Error, Issue, Item, ModelResponse, StructuredOutput};
use serde_json::Value;

use super::active::ActiveRun;
use super::agents::CompiledSchema;
use super::failure;
use crate::schema::Schema;

/// How much of an invalid answer is shown in the error.
const PREVIEW: usize = 200;

/// The structured output of a run: the request's, else the agent's.
pub(crate) struct Wanted<'a> {
    schema: &'a Value,
    compiled: Compiled<'a>,
    name: String,
    strict: Option<bool>,
}

enum Compiled<'a> {
    Agents(&'a Schema),
    Requests(Schema),
}

/// An answer that is not what was wanted.
pub(crate) struct Unfit {
    /// `missing_text`, `parse` or `validation`.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) issues: Vec<Issue>,
    pub(crate) error: Error,
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    pub(crate) fn of(run: &'a ActiveRun) -> Result<Option<Self>, Error> {
        let default_name = || format!("{}_output", run.agent.name);
        if let Some(output) = &run.request.output {
            let compiled = Schema::compile(&output.schema).map_err(|error| {
                Error::invalid(format!("The output schema is invalid: {error}"))
                    .with_issue("/output/schema", error.to_string())
            })?;
            return Ok(Some(Self {
                schema: &output.schema,
                compiled: Compiled::Requests(compiled),
                name: output.name.clone().unwrap_or_else(default_name),
                strict: output.strict,
            }));
        }
        Ok(run.agent.output.as_ref().map(|output| {
            let CompiledSchema { value, compiled } = &output.schema;
            Self {
                schema: value,
                compiled: Compiled::Agents(compiled),
                name: output.name.clone().unwrap_or_else(default_name),
                strict: output.strict,
            }
        }))
    }

    /// What the model is told.
    pub(crate) fn for_model(&self) -> StructuredOutput {
        let mut schema = self.schema.clone();
        close_objects(&mut schema);
        StructuredOutput {
            name: self.name.clone(),
            schema,
            strict: self.strict,
        }
    }

    /// The value of an answer.
    pub(crate) fn value_of(&self, response: &ModelResponse) -> Result<Value, Box<Unfit>> {
        let mut texts = response.output.iter().rev().map(Item::text);
        let Some(text) = texts.find(|text| !text.trim().is_empty()) else {
            let message =
                "Structured output was requested, but the model did not return JSON text.";
            let error = Error::invalid(message);
            return Err(Unfit::new("missing_text", String::new(), error));
        };
        self.parse(text)
    }

    pub(crate) fn parse(&self, text: String) -> Result<Value, Box<Unfit>> {
        let Ok(value) = serde_json::from_str(&text) else {
            let message = "Structured output was requested, but the model returned invalid JSON.";
            let preview: String = text.chars().take(PREVIEW).collect();
            let error = Error::invalid(message).with_context("preview", preview);
            return Err(Unfit::new("parse", text, error));
        };
        self.check(value, text)
    }

    pub(crate) fn check(&self, value: Value, text: String) -> Result<Value, Box<Unfit>> {
        let schema = match &self.compiled {
            Compiled::Agents(schema) => schema,
            Compiled::Requests(schema) => schema,
        };
        let Err(issues) = schema.validate(&value) else {
            return Ok(value);
        };
        let mut unfit = Unfit::new("validation", text, failure::invalid("schema", &issues));
        unfit.issues = failure::plain(&issues);
        Err(unfit)
    }
}

// === impl Unfit ===

impl Unfit {
    fn new(kind: &'static str, text: String, error: Error) -> Box<Self> {
        Box::new(Self {
            kind,
            text,
            issues: Vec::new(),
            error,
        })
    }
}

/// What the model is asked when its answer did not fit.
pub(crate) fn repair_prompt(unfit: &Unfit) -> Item {
    let issues: String = unfit
        .issues
        .iter()
        .flat_map(|issue| ["\n- ", &issue.path, " ", &issue.message])
        .collect();
    Item::user(format!(
        "Your answer does not fit the required schema: {}{issues}\nAnswer again, with nothing but \
         the corrected JSON value.",
        unfit.error.message()
    ))
}

/// Providers want every object to say that it has no other properties.
fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_object = object.get("type").is_some_and(|kind| match kind {
                Value::String(kind) => kind == "object",
                Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
                _ => false,
            });
            if is_object || object.contains_key("properties") {
                object
                    .entry("additionalProperties")
                    .or_insert(Value::Bool(false));
            }
            object.values_mut().for_each(close_objects);
        }
        Value::Array(items) => items.iter_mut().for_each(close_objects),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_object_is_closed_unless_it_says_otherwise() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "a": {"type": "object", "additionalProperties": true},
                "b": {"type": "array", "items": {"properties": {}}},
            },
        });
        close_objects(&mut schema);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["a"]["additionalProperties"], true);
        assert_eq!(
            schema["properties"]["b"]["items"]["additionalProperties"],
            false
        );
    }
}

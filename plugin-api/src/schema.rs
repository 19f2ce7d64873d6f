//! JSON Schema, with issues in the words of Ajv, which clients of the native API know. Feature
//! `schema`.
//!
//! A schema is compiled once. Nothing it says reaches the network or takes unbounded time.
//!
//! ```
//! use mortise_plugin_api::prelude::*;
//! use mortise_plugin_api::schema::Schema;
//!
//! let schema = Schema::compile(&json!({ "type": "string", "minLength": 3 })).unwrap();
//! let issues = schema.validate(&json!("x")).unwrap_err();
//! assert_eq!(issues[0].keyword, "minLength");
//! assert_eq!(issues[0].message, "must NOT have fewer than 3 characters");
//! ```

// `issue.rs` has the words, `order.rs` the order in which Ajv reports, `extent.rs` what is too much.

mod extent;
mod issue;
mod order;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jsonschema::{
    PatternOptions, Retrieve, Uri, ValidationError, Validator, error::ValidationErrorKind,
};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use extent::{Extent, Search};
use order::{Condition, Rank};

pub use issue::Issue;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    source: Value,
    validator: Validator,
    extent: Extent,
}

/// Why something is no schema.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON Schema{}: {message}", at(.pointer))]
pub struct SchemaError {
    pointer: String,
    message: String,
}

/// What is wrong with a value, before it is put in words.
enum Wrong<'e> {
    Condition(Condition),
    Value(&'e ValidationError<'e>),
}

/// How many issues of a value are told.
const MOST_ISSUES: usize = 100;
/// What a pattern may cost on one value; a sane one needs a few hundred steps.
const BACKTRACK_LIMIT: usize = 100_000;
/// What a compiled pattern may weigh.
const PATTERN_SIZE_LIMIT: usize = 1024 * 1024;

fn at(pointer: &str) -> String {
    if pointer.is_empty() {
        String::new()
    } else {
        format!(" at {pointer}")
    }
}

// === impl Schema ===

impl Schema {
    /// Compiles a schema of the draft that `$schema` names, or else 2020-12.
    ///
    /// # Errors
    /// What is wrong with the schema and where; references that lead out of it, and so many within it
    /// that a value could not be checked in time, included.
    pub fn compile(source: &Value) -> Result<Self, SchemaError> {
        let extent = Extent::of(source).map_err(|message| SchemaError {
            pointer: String::new(),
            message,
        })?;
        let patterns = PatternOptions::fancy_regex()
            .backtrack_limit(BACKTRACK_LIMIT)
            .size_limit(PATTERN_SIZE_LIMIT);
        let validator = jsonschema::options()
            .with_retriever(NoFetching)
            .with_pattern_options(patterns)
            .build(source)
            .map_err(|error| SchemaError::from_compile(&error))?;
        Ok(Self {
            source: source.clone(),
            validator,
            extent,
        })
    }

    /// The schema as it was written.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Checks a value.
    ///
    /// # Errors
    /// Every issue, in the order of Ajv with `allErrors`: the first 100. Of a value of more than
    /// 10,000 values it is the first that is found. It is one for all, without its place, where the
    /// schema or the value is such that finding it would take too long.
    pub fn validate(&self, value: &Value) -> Result<(), Vec<Issue>> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let errors: Vec<_> = match self.extent.search(value) {
            Search::All => self.validator.iter_errors(value).collect(),
            Search::First => self.validator.validate(value).err().into_iter().collect(),
            Search::None => return Err(vec![Issue::of_all()]),
        };
        let mut ranked = Vec::new();
        for error in &errors {
            self.collect(error, &mut ranked);
        }
        ranked.sort_by(|(left, _), (right, _)| left.cmp(right));
        Err(self.told(&ranked, value))
    }

    /// The value that a text stands for: what it says as JSON where that fits, else the text itself.
    ///
    /// # Errors
    /// The issues of what it says as JSON, where it is JSON; else those of the text.
    pub fn read(&self, text: String) -> Result<Value, Vec<Issue>> {
        let parsed = serde_json::from_str(&text);
        let text = Value::String(text);
        match parsed {
            Ok(value) => match self.validate(&value) {
                Err(_) if self.validator.is_valid(&text) => Ok(text),
                checked => checked.map(|()| value),
            },
            Err(_) => self.validate(&text).map(|()| text),
        }
    }

    /// What is wrong, from one error and, below it, from the branches that a combinator tried.
    fn collect<'e>(&self, error: &'e ValidationError<'e>, ranked: &mut Vec<(Rank, Wrong<'e>)>) {
        let position = order::position(
            &self.source,
            error.evaluation_path().as_str(),
            error.instance_path().as_str(),
        );
        for condition in position.conditions {
            ranked.push((condition.rank.clone(), Wrong::Condition(condition)));
        }
        for branch in tried_branches(error.kind()) {
            for error in branch {
                self.collect(error, ranked);
            }
        }
        ranked.push((position.rank, Wrong::Value(error)));
    }

    /// The first issues, in words: there may be many more, and the words of one may be long.
    fn told(&self, ranked: &[(Rank, Wrong<'_>)], value: &Value) -> Vec<Issue> {
        let issues = ranked.iter().flat_map(|(rank, wrong)| {
            let issues = match wrong {
                Wrong::Condition(condition) => vec![Issue::of_condition(condition)],
                Wrong::Value(error) => issue::issues(error, &self.source, value),
            };
            issues.into_iter().map(move |issue| (rank, issue))
        });
        let mut told: Vec<(&Rank, Issue)> = Vec::new();
        for issue in issues {
            // A failed condition was noted once for each issue below it.
            if told.last() != Some(&issue) {
                told.push(issue);
            }
            if told.len() == MOST_ISSUES {
                break;
            }
        }
        told.into_iter().map(|(_, issue)| issue).collect()
    }
}

/// The branches whose errors Ajv lists: it stops at the second match of `oneOf`.
fn tried_branches(kind: &ValidationErrorKind) -> Vec<&[ValidationError<'static>]> {
    let mut matches = 0;
    match kind {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().map(Vec::as_slice).collect()
        }
        ValidationErrorKind::OneOfMultipleValid { context } => context
            .iter()
            .map(Vec::as_slice)
            .take_while(|branch| {
                matches += usize::from(branch.is_empty());
                matches < 2
            })
            .collect(),
        ValidationErrorKind::PropertyNames { error } => vec![std::slice::from_ref(error)],
        _ => Vec::new(),
    }
}

// === impl SchemaError ===

impl SchemaError {
    /// The place in the schema, as a JSON pointer.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    fn from_compile(error: &ValidationError<'_>) -> Self {
        Self {
            pointer: error.instance_path().as_str().to_owned(),
            message: error.to_string(),
        }
    }
}

/// A setting of a plugin may be a schema.
impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(from)?;
        Self::compile(&source).map_err(|error| D::Error::custom(format!("is {error}")))
    }
}

impl JsonSchema for Schema {
    fn schema_name() -> Cow<'static, str> {
        "JsonSchema".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({ "type": ["object", "boolean"] })
    }
}

/// Refuses every reference that the schema does not answer itself.
struct NoFetching;

impl Retrieve for NoFetching {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("{uri} is not part of the schema, and the server fetches none").into())
    }
}

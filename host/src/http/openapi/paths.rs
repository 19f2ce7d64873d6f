//! The paths of the document, each with its operations.

use std::collections::HashMap;

use http::Method;
use serde_json::{Map, Value};

use super::error::DocumentError;
use crate::schema::escaped;

/// The paths so far.
#[derive(Default)]
pub(super) struct Paths {
    items: Map<String, Value>,
    /// Paths by what they are without the names of their parameters.
    shapes: HashMap<String, String>,
    /// Who has which `operationId`.
    ids: HashMap<String, String>,
}

/// Where an operation stands in the document.
pub(super) struct Spot {
    /// The path in the document.
    pub(super) template: String,
    pub(super) method: String,
    /// The names of its parameters in the route, and in the document.
    pub(super) params: Vec<(String, String)>,
}

// === impl Paths ===

impl Paths {
    /// Where an operation of this route goes. Paths that differ in nothing but the names of their
    /// parameters are one path to `OpenAPI`: the first names hold.
    pub(super) fn spot(&mut self, method: &Method, path: &str) -> Spot {
        let template = path.replace("{*", "{");
        let own = names(&template);
        let shape = own.iter().fold(template.clone(), |shape, name| {
            shape.replacen(&format!("{{{name}}}"), "{}", 1)
        });
        let template = self.shapes.entry(shape).or_insert(template).clone();
        let params = own.into_iter().zip(names(&template)).collect();
        Spot {
            template,
            method: method.as_str().to_ascii_lowercase(),
            params,
        }
    }

    /// Adds an operation.
    pub(super) fn add(
        &mut self,
        spot: &Spot,
        operation: Map<String, Value>,
    ) -> Result<(), DocumentError> {
        if let Some(id) = operation.get("operationId").and_then(Value::as_str) {
            let place = spot.place();
            if let Some(first) = self.ids.insert(id.to_owned(), place.clone()) {
                return Err(DocumentError::OperationId {
                    id: id.to_owned(),
                    first,
                    second: place,
                });
            }
        }
        let item = self.items.entry(spot.template.clone());
        let item = item.or_insert_with(|| Value::Object(Map::new()));
        item[spot.method.as_str()] = Value::Object(operation);
        Ok(())
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.items
    }
}

// === impl Spot ===

impl Spot {
    /// The operation in words: `GET /path`.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.method.to_ascii_uppercase(), self.template)
    }

    /// The operation as a JSON pointer.
    pub(super) fn pointer(&self) -> String {
        format!("/paths/{}/{}", escaped(&self.template), self.method)
    }
}

fn names(template: &str) -> Vec<String> {
    let braced = template.split('{').skip(1);
    braced
        .filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()))
        .collect()
}

//! The components of the document: the server's own, and those of plugins below their names.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::DocumentError;
use super::grammar;
use super::references::Mover;
use super::security::Security;
use crate::schema::escaped;

/// The components so far, by their kind.
#[derive(Default)]
pub(super) struct Components(Map<String, Value>);

// === impl Components ===

impl Components {
    /// Adds the server's own.
    pub(super) fn own(
        &mut self,
        schemas: Map<String, Value>,
        responses: Map<String, Value>,
        security: &Security,
    ) {
        self.0.insert("schemas".to_owned(), schemas.into());
        self.0.insert("responses".to_owned(), responses.into());
        if !security.schemes.is_empty() {
            let asked = security.schemes.clone().into();
            self.0.insert("securitySchemes".to_owned(), asked);
        }
    }

    /// Adds those of a mount, and returns them as they are in the document.
    pub(super) fn adopt(
        &mut self,
        instance: &Arc<str>,
        components: &Value,
    ) -> Result<Map<String, Value>, DocumentError> {
        let place = || "its components".to_owned();
        let invalid = |issue| DocumentError::Invalid {
            instance: Arc::clone(instance),
            place: place(),
            issue,
        };
        grammar::check_components(components).map_err(invalid)?;
        let mut mover = Mover::of(instance);
        let mut adopted = Map::new();
        for (kind, named) in components.as_object().into_iter().flatten() {
            let mut own = Map::new();
            for (name, component) in named.as_object().into_iter().flatten() {
                let name = format!("{instance}.{name}");
                let pointer = format!("/components/{kind}/{}", escaped(&name));
                let mut component = component.clone();
                if kind == "schemas" {
                    mover.schema(&mut component, &pointer);
                } else {
                    mover.openapi(&mut component, &pointer);
                }
                own.insert(name, component);
            }
            adopted.insert(kind.clone(), own.into());
        }
        mover.check(&adopted).map_err(invalid)?;
        let root = json!({ "components": adopted });
        grammar::check_schemas(root, &mover.schemas).map_err(|source| DocumentError::Schema {
            instance: Arc::clone(instance),
            place: place(),
            source,
        })?;
        for (kind, named) in &adopted {
            let all = self.0.entry(kind.clone()).or_insert_with(|| json!({}));
            for (name, component) in named.as_object().into_iter().flatten() {
                let known = all.get(name);
                if known.is_some_and(|known| known != component) {
                    return Err(DocumentError::Component {
                        instance: Arc::clone(instance),
                        name: name.clone(),
                    });
                }
                all[name.as_str()] = component.clone();
            }
        }
        Ok(adopted)
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

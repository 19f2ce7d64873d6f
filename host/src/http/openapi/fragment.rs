//! Endpoints of plugins: what they say of themselves, and what the server knows of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::components::Components;
use super::error::DocumentError;
use super::paths::{Paths, Spot};
use super::references::Mover;
use super::refusals::{self, Form};
use super::security::Security;
use super::{Served, grammar};
use crate::http::plugin_routes::{Admission, Endpoint, Mounted};

/// A mount whose endpoints are being added.
struct Adopted<'a> {
    mount: &'a Arc<Mounted>,
    /// Its components as they are in the document.
    components: Map<String, Value>,
}

/// Adds all endpoints.
pub(super) fn add(
    served: &Served<'_>,
    security: &Security,
    paths: &mut Paths,
    components: &mut Components,
) -> Result<(), DocumentError> {
    let mut current: Option<Adopted<'_>> = None;
    for endpoint in served.mounts.endpoints() {
        let mount = &endpoint.mount;
        let adopted = match current.take() {
            Some(adopted) if Arc::ptr_eq(adopted.mount, mount) => adopted,
            _ => Adopted {
                mount,
                components: match &mount.capability.info().components {
                    Some(own) => components.adopt(&mount.instance, own)?,
                    None => Map::new(),
                },
            },
        };
        let spot = paths.spot(&endpoint.method, &endpoint.path);
        let operation = adopted.operation(endpoint, &spot, security)?;
        paths.add(&spot, operation)?;
        current = Some(adopted);
    }
    Ok(())
}

// === impl Adopted ===

impl Adopted<'_> {
    fn operation(
        &self,
        endpoint: &Endpoint,
        spot: &Spot,
        security: &Security,
    ) -> Result<Map<String, Value>, DocumentError> {
        let info = &self.mount.capability.info().endpoints[endpoint.index];
        let mut operation = if let Some(said) = &info.operation {
            self.said(said, spot)?
        } else {
            let responses = json!({ "default": { "description": "The answer" } });
            Map::from_iter([("responses".to_owned(), responses)])
        };
        if info.methods.len() > 1
            && let Some(Value::String(id)) = operation.get_mut("operationId")
        {
            *id = format!("{id}.{}", spot.method);
        }
        let instance = &*self.mount.instance;
        operation.entry("tags").or_insert_with(|| json!([instance]));
        self.settle_parameters(&mut operation, spot)?;
        // What the server does not ask for is the endpoint's own affair.
        if endpoint.admission == Admission::Protected {
            operation.remove("security");
            if !security.alternatives.is_empty() {
                operation.insert("security".to_owned(), json!(security.alternatives));
            }
        }
        let mut statuses = refusals::ALWAYS.to_vec();
        statuses.push(504);
        if operation.contains_key("security") {
            statuses.push(401);
        }
        if !spot.params.is_empty() {
            statuses.push(404);
        }
        let responses = operation
            .get_mut("responses")
            .and_then(Value::as_object_mut);
        if let Some(responses) = responses {
            refusals::add(responses, &statuses, &self.form());
            if security.has_guards && endpoint.admission != Admission::Public {
                refusals::add_guards(responses);
            }
        }
        Ok(operation)
    }

    /// What the plugin says, checked, with references that lead to the same in the document.
    fn said(&self, said: &Value, spot: &Spot) -> Result<Map<String, Value>, DocumentError> {
        let (instance, place) = (&self.mount.instance, spot.place());
        grammar::check_operation(said).map_err(|issue| self.invalid(&place, issue))?;
        let mut operation = said.clone();
        let mut mover = Mover::of(instance);
        mover.openapi(&mut operation, &spot.pointer());
        let checked = mover.check(&self.components);
        checked.map_err(|issue| self.invalid(&place, issue))?;
        let mut root = json!({ "components": self.components });
        root["paths"][spot.template.as_str()][spot.method.as_str()] = operation.clone();
        grammar::check_schemas(root, &mover.schemas).map_err(|source| DocumentError::Schema {
            instance: Arc::clone(instance),
            place: place.clone(),
            source,
        })?;
        let requirements = operation.get_mut("security").and_then(Value::as_array_mut);
        for requirement in requirements.into_iter().flatten() {
            self.rename_schemes(requirement, &place)?;
        }
        match operation {
            Value::Object(operation) => Ok(operation),
            _ => Ok(Map::new()),
        }
    }

    fn invalid(&self, place: &str, issue: String) -> DocumentError {
        DocumentError::Invalid {
            instance: Arc::clone(&self.mount.instance),
            place: place.to_owned(),
            issue,
        }
    }

    fn rename_schemes(&self, requirement: &mut Value, place: &str) -> Result<(), DocumentError> {
        let instance = &self.mount.instance;
        let mut renamed = Map::new();
        for (name, scopes) in requirement.as_object().into_iter().flatten() {
            let name = format!("{instance}.{name}");
            let schemes = self.components.get("securitySchemes");
            if schemes.is_none_or(|schemes| schemes.get(&name).is_none()) {
                let issue = format!("its components have no {name:?} in securitySchemes");
                return Err(self.invalid(place, issue));
            }
            renamed.insert(name, scopes.clone());
        }
        *requirement = renamed.into();
        Ok(())
    }

    /// Path parameters have the names that the path has, and all are there.
    fn settle_parameters(
        &self,
        operation: &mut Map<String, Value>,
        spot: &Spot,
    ) -> Result<(), DocumentError> {
        if spot.params.is_empty() && !operation.contains_key("parameters") {
            return Ok(());
        }
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        let mut described = Vec::new();
        for parameter in parameters.as_array_mut().into_iter().flatten() {
            let reference = parameter.get("$ref").and_then(Value::as_str);
            if let Some(target) = reference.and_then(|it| self.parameter(it)) {
                *parameter = target.clone();
            }
            if parameter["in"] != "path" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            let Some((_, shown)) = spot.params.iter().find(|(own, _)| *own == name) else {
                return Err(DocumentError::Parameter {
                    instance: Arc::clone(&self.mount.instance),
                    place: spot.place(),
                    name,
                });
            };
            parameter["name"] = shown.as_str().into();
            described.push(shown.clone());
        }
        let missing = spot.params.iter().filter(|it| !described.contains(&it.1));
        if let Value::Array(parameters) = parameters {
            parameters.extend(missing.map(|(_, name)| {
                json!({
                    "name": name, "in": "path", "required": true, "schema": { "type": "string" },
                })
            }));
        }
        Ok(())
    }

    /// What a reference to a parameter means.
    fn parameter(&self, reference: &str) -> Option<&Value> {
        let name = reference.strip_prefix("#/components/parameters/")?;
        self.components.get("parameters")?.get(name)
    }

    fn form(&self) -> Form {
        if !self.mount.renders_errors() {
            return Form::Native;
        }
        let name = format!("{}.Error", self.mount.instance);
        let responses = self.components.get("responses");
        let is_there = responses.is_some_and(|it| it.get(&name).is_some());
        Form::Rendered(is_there.then(|| format!("#/components/responses/{name}")))
    }
}

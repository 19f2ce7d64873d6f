//! References of a plugin's JSON, so that they lead to the same once it is part of the document.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::schema::escaped;

/// Rewrites the references of JSON that moves into the document.
pub(super) struct Mover<'a> {
    /// Whose components are meant; `None` where there can be none.
    pub(super) instance: Option<&'a str>,
    /// The schemas that were met, as JSON pointers.
    pub(super) schemas: Vec<String>,
    /// The components that are meant, by kind and name.
    meant: Vec<(String, String)>,
}

/// Where in the document the walk is.
#[derive(Clone, Copy)]
struct Here<'p> {
    pointer: &'p str,
    /// The schema that `#` means; `None` outside of one.
    schema: Option<&'p str>,
    /// Whether keys are names that somebody chose, and mean nothing.
    are_names: bool,
}

/// Keys whose objects have names for keys.
const NAMED: [&str; 14] = [
    "$defs",
    "callbacks",
    "content",
    "definitions",
    "dependentSchemas",
    "encoding",
    "headers",
    "links",
    "mapping",
    "patternProperties",
    "properties",
    "responses",
    "scopes",
    "variables",
];

/// Keys that hold data, in which nothing is a reference.
const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];

// === impl Mover ===

impl<'a> Mover<'a> {
    pub(super) fn of(instance: &'a str) -> Self {
        Self {
            instance: Some(instance),
            schemas: Vec::new(),
            meant: Vec::new(),
        }
    }

    pub(super) fn of_nobody() -> Self {
        Self {
            instance: None,
            schemas: Vec::new(),
            meant: Vec::new(),
        }
    }

    /// JSON of `OpenAPI` that is going to stand at this pointer.
    pub(super) fn openapi(&mut self, value: &mut Value, pointer: &str) {
        self.walk(
            value,
            Here {
                pointer,
                schema: None,
                are_names: false,
            },
        );
    }

    /// A JSON Schema that is going to stand at this pointer.
    pub(super) fn schema(&mut self, value: &mut Value, pointer: &str) {
        self.schemas.push(pointer.to_owned());
        if let Value::Object(schema) = value {
            // References would be relative to it instead of to the document.
            schema.remove("$id");
        }
        self.walk(
            value,
            Here {
                pointer,
                schema: Some(pointer),
                are_names: false,
            },
        );
    }

    /// Whether all components that are meant are among these.
    pub(super) fn check(&self, components: &Map<String, Value>) -> Result<(), String> {
        let is_there = |(kind, name): &&(String, String)| {
            let named = components.get(kind).and_then(Value::as_object);
            named.is_some_and(|named| named.contains_key(name))
        };
        match self.meant.iter().find(|meant| !is_there(meant)) {
            None => Ok(()),
            Some((kind, name)) => Err(format!("its components have no {name:?} in {kind}")),
        }
    }

    fn walk(&mut self, value: &mut Value, here: Here<'_>) {
        match value {
            Value::Array(values) => {
                for (index, value) in values.iter_mut().enumerate() {
                    let pointer = format!("{}/{index}", here.pointer);
                    let here = Here {
                        pointer: &pointer,
                        are_names: false,
                        ..here
                    };
                    self.walk(value, here);
                }
            }
            Value::Object(object) => self.walk_object(object, here),
            _ => {}
        }
    }

    fn walk_object(&mut self, object: &mut Map<String, Value>, here: Here<'_>) {
        for (key, value) in object {
            let pointer = format!("{}/{}", here.pointer, escaped(key));
            let key = key.as_str();
            if !here.are_names {
                match value {
                    Value::String(text) if key == "$ref" => {
                        *text = self.moved(text, here.schema);
                        continue;
                    }
                    Value::Object(names) if key == "mapping" => {
                        for name in names.values_mut() {
                            if let Value::String(text) = name {
                                *text = self.moved(text, here.schema);
                            }
                        }
                        continue;
                    }
                    Value::String(id) if key == "operationId" && here.schema.is_none() => {
                        if let Some(instance) = self.instance {
                            *id = format!("{instance}.{id}");
                        }
                        continue;
                    }
                    _ if DATA.contains(&key) || key.starts_with("x-") => continue,
                    _ if key == "schema" && here.schema.is_none() => {
                        self.schema(value, &pointer);
                        continue;
                    }
                    _ => {}
                }
            }
            let here = Here {
                pointer: &pointer,
                are_names: !here.are_names && NAMED.contains(&key),
                ..here
            };
            self.walk(value, here);
        }
    }

    fn moved(&mut self, reference: &str, schema: Option<&str>) -> String {
        let Some(local) = reference.strip_prefix('#') else {
            return reference.to_owned();
        };
        if let (Some(instance), Some(rest)) = (self.instance, local.strip_prefix("/components/"))
            && let Some((kind, name)) = rest.split_once('/')
        {
            let first = name.split('/').next().unwrap_or_default();
            self.meant
                .push((kind.to_owned(), format!("{instance}.{first}")));
            return format!("#/components/{kind}/{instance}.{name}");
        }
        match schema {
            Some(schema) if local.is_empty() || local.starts_with('/') => {
                format!("#{}{local}", in_uri(schema))
            }
            _ => reference.to_owned(),
        }
    }
}

/// A JSON pointer as the fragment of a URI.
pub(super) fn in_uri(pointer: &str) -> String {
    let mut text = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

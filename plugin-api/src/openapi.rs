//! What endpoints take and answer, as OpenAPI describes it.

use serde_json::{Map, Value, json};

use crate::mount::{Access, Mount, Prefix};

/// An OpenAPI operation that is put together, for [`Endpoint::operation`](crate::Endpoint::operation).
///
/// ```
/// use mortise_plugin_api::Operation;
/// use mortise_plugin_api::prelude::*;
///
/// let book = json!({ "type": "object", "required": ["id"] });
/// let wanted = json!({ "properties": { "id": { "type": "string" }, "full": { "type": "boolean" } } });
/// let find = Operation::new("A book")
///     .parameters("/books/:id", &wanted)
///     .answer(200, "application/json", &book)
///     .with("x-shelf", "new");
/// let find = Endpoint::get("/books/:id", |_| async { Response::json(&json!({ "id": "7" })) })
///     .operation(find.into());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Operation(Value);

// === impl Operation ===

impl Operation {
    /// An operation that answers with nothing yet.
    pub fn new(summary: &str) -> Self {
        Self(json!({ "summary": summary, "parameters": [], "responses": {} }))
    }

    /// Sets any other member.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0[key] = value.into();
        self
    }

    /// The properties of a schema as parameters: of the path where it names them, else of the query.
    #[must_use]
    pub fn parameters(mut self, path: &str, schema: &Value) -> Self {
        let required = schema["required"].as_array();
        let properties = schema["properties"].as_object();
        let parameters = properties.into_iter().flatten().map(|(name, schema)| {
            let in_path = path_names(path).any(|own| own == name);
            let required = required.is_some_and(|all| all.contains(&json!(name)));
            json!({
                "name": name, "in": if in_path { "path" } else { "query" },
                "required": in_path || required, "schema": schema,
            })
        });
        self.0["parameters"] = parameters.collect();
        self
    }

    /// The body that it takes.
    #[must_use]
    pub fn body(self, content_type: &str, schema: &Value) -> Self {
        let content = json!({ content_type: { "schema": schema } });
        self.with(
            "requestBody",
            json!({ "required": true, "content": content }),
        )
    }

    /// An answer with this status.
    #[must_use]
    pub fn answer(mut self, status: u16, content_type: &str, schema: &Value) -> Self {
        self.0["responses"][status.to_string()] = answer(content_type, schema);
        self
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty_answer(mut self, status: u16) -> Self {
        self.0["responses"][status.to_string()] = json!({ "description": "Nothing" });
        self
    }

    /// An answer of any other status: `application/problem+json`.
    #[must_use]
    pub fn problems(mut self) -> Self {
        let required = ["type", "title", "status", "detail"];
        let text = json!({ "type": "string" });
        let schema = json!({
            "type": "object",
            "required": required,
            "properties": {
                "type": text, "title": text, "status": { "type": "integer" }, "detail": text,
            },
        });
        self.0["responses"]["default"] = answer(crate::Problem::CONTENT_TYPE, &schema);
        self
    }
}

impl From<Operation> for Value {
    fn from(operation: Operation) -> Self {
        operation.0
    }
}

fn answer(content_type: &str, schema: &Value) -> Value {
    json!({ "description": content_type, "content": { content_type: { "schema": schema } } })
}

/// The names of the parameters in a path, written `:id` or `{id}`.
pub fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(path_name)
}

fn path_name(segment: &str) -> Option<&str> {
    let braced = segment
        .strip_prefix('{')
        .and_then(|it| it.strip_suffix('}'));
    segment.strip_prefix(':').or(braced)
}

impl Mount {
    /// What its endpoints say of themselves, as an OpenAPI 3.1 document: parameters of paths are
    /// added, and `security` where the server asks for a credential. A prefix below the server's
    /// base path stands there without it.
    ///
    /// ```
    /// use mortise_plugin_api::prelude::*;
    ///
    /// let find = Endpoint::get("/books/:id", |_| async { Response::json(&json!({})) })
    ///     .operation(json!({ "responses": { "200": { "description": "A book" } } }));
    /// let document = Mount::absolute("/api").endpoint(find).document("library", "1");
    ///
    /// let operation = &document["paths"]["/api/books/{id}"]["get"];
    /// assert_eq!(operation["parameters"][0]["name"], "id");
    /// assert_eq!(operation["security"], json!([{ "bearer": [] }]));
    /// ```
    pub fn document(&self, title: &str, version: &str) -> Value {
        let (Prefix::Base(prefix) | Prefix::Absolute(prefix)) = &self.info.prefix;
        let mut paths = Map::new();
        for endpoint in &self.info.endpoints {
            let whole = format!("{prefix}{}", endpoint.path);
            let segments = whole.split('/').map(|segment| match path_name(segment) {
                Some(name) => format!("{{{name}}}"),
                None => segment.to_owned(),
            });
            let path = segments.collect::<Vec<_>>().join("/");
            let mut operation = endpoint.operation.clone().unwrap_or_else(|| json!({}));
            add_path_parameters(&mut operation, &whole);
            if self.info.access == Access::Protected && !endpoint.public {
                operation["security"] = json!([{ "bearer": [] }]);
            }
            let methods = paths.entry(path).or_insert_with(|| json!({}));
            for method in &endpoint.methods {
                methods[method.to_ascii_lowercase()] = operation.clone();
            }
        }
        let bearer = json!({ "type": "http", "scheme": "bearer" });
        json!({
            "openapi": "3.1.0",
            "info": { "title": title, "version": version },
            "paths": paths,
            "components": { "securitySchemes": { "bearer": bearer } },
        })
    }
}

fn add_path_parameters(operation: &mut Value, path: &str) {
    let mut parameters = operation["parameters"].as_array().cloned();
    for name in path_names(path) {
        let parameters = parameters.get_or_insert_default();
        let is_there = |it: &Value| it["in"] == "path" && it["name"] == *name;
        if !parameters.iter().any(is_there) {
            let text = json!({ "type": "string" });
            let added = json!({ "name": name, "in": "path", "required": true, "schema": text });
            parameters.push(added);
        }
    }
    if let Some(parameters) = parameters {
        operation["parameters"] = parameters.into();
    }
}

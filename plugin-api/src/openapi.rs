//! What a mount serves, as OpenAPI describes it.

use serde_json::{Map, Value, json};

use crate::mount::{Access, Mount, Prefix};

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
            let mut names = Vec::new();
            let whole = format!("{prefix}{}", endpoint.path);
            let path = whole.split('/').map(|segment| {
                let braced = segment
                    .strip_prefix('{')
                    .and_then(|it| it.strip_suffix('}'));
                let Some(name) = segment.strip_prefix(':').or(braced) else {
                    return segment.to_owned();
                };
                names.push(name.to_owned());
                format!("{{{name}}}")
            });
            let path = path.collect::<Vec<_>>().join("/");
            let mut operation = endpoint.operation.clone().unwrap_or_else(|| json!({}));
            add_path_parameters(&mut operation, names);
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

fn add_path_parameters(operation: &mut Value, names: Vec<String>) {
    if operation["parameters"].is_null() && !names.is_empty() {
        operation["parameters"] = json!([]);
    }
    let Some(parameters) = operation["parameters"].as_array_mut() else {
        return;
    };
    for name in names {
        let is_there = |it: &Value| it["in"] == "path" && it["name"] == *name;
        if !parameters.iter().any(is_there) {
            let text = json!({ "type": "string" });
            parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": text }));
        }
    }
}

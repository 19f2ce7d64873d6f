//! Where endpoints answer: below mount and version, and at their bare paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::with_state;

use crate::config::Config;
use crate::exposure::Exposure;
use crate::problem;

/// Endpoints by their prefixes.
#[derive(Default)]
pub(crate) struct Routes(BTreeMap<String, Vec<Endpoint>>);

impl Routes {
    /// Adds an endpoint.
    pub(crate) fn add<H, F>(
        &mut self,
        exposure: &Arc<Exposure>,
        (method, path): (&str, &str),
        operation: &Value,
        handle: H,
    ) where
        H: Fn(Arc<Exposure>, EndpointCall) -> F + Copy + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let mut places = vec![(exposure.config.prefix(), path)];
        if exposure.config.bare {
            // What goes wrong below a prefix is rendered here: it is no longer than it must be.
            let end = path[1..].find('/').map_or(path.len(), |at| at + 1);
            places.push((path[..end].to_owned(), &path[end..]));
        }
        for (prefix, path) in places {
            let path = if path.is_empty() { "/" } else { path };
            let mut endpoint = Endpoint::new(&[method], path, with_state(exposure, handle));
            if exposure.exposed().public {
                endpoint = endpoint.public();
            }
            let mut operation = operation.clone();
            operation["operationId"] = format!("{method} {prefix}{path}").into();
            let endpoint = endpoint.operation(operation);
            self.0.entry(prefix).or_default().push(endpoint);
        }
    }

    /// A mount for each prefix, and the page that describes the versioned paths.
    pub(crate) fn register(mut self, config: &Config, registrar: &mut Registrar) {
        let mut document = Value::Null;
        self.0.entry(config.prefix()).or_default();
        for (prefix, endpoints) in self.0 {
            let mount = Mount::absolute(prefix.as_str())
                .method_mismatch_is_not_found()
                .render_error(problem::render);
            let mount = endpoints.into_iter().fold(mount, Mount::endpoint);
            if prefix == config.prefix() {
                document = mount.document(&config.service, &config.version.to_string());
            }
            registrar.mount(mount);
        }
        let page = Endpoint::get("/openapi.json", move |_| {
            let response = Response::json(&document);
            async { response }
        });
        let page = page.operation(json!({
            "operationId": "document",
            "summary": "What is exposed below the mount",
            "responses": { "200": { "description": "OpenAPI 3.1" } },
        }));
        registrar.mount(Mount::absolute(config.mount.as_str()).endpoint(page.public()));
    }
}

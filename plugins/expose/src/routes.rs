//! Where endpoints answer: below mount and version, and at their bare paths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::config::Config;
use crate::exposure::Exposure;
use crate::problem::{self, TRACE};

/// Endpoints by their prefixes.
#[derive(Default)]
pub(crate) struct Routes {
    endpoints: BTreeMap<String, Vec<Endpoint>>,
    /// The `operationId` of each.
    ids: BTreeSet<String>,
}

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
            let exposed = Arc::clone(exposure);
            let mut endpoint = Endpoint::new(&[method], path, move |call| {
                let trace = problem::trace(call.request.header(TRACE)).map(str::to_owned);
                let answered = handle(Arc::clone(&exposed), call);
                async move {
                    let response = answered.await?;
                    Ok(match trace {
                        Some(trace) => response.with_header(TRACE, trace),
                        None => response,
                    })
                }
            });
            if exposure.exposed().public {
                endpoint = endpoint.public();
            }
            let mut operation = operation.clone();
            operation["operationId"] = self.id(method, &prefix, path).into();
            let endpoint = endpoint.operation(operation);
            self.endpoints.entry(prefix).or_default().push(endpoint);
        }
    }

    /// A name that a generated client can take, such as `post_api_v1_agents_triage_ticket`.
    fn id(&mut self, method: &str, prefix: &str, path: &str) -> String {
        let whole = format!("{}{prefix}{path}", method.to_ascii_lowercase());
        let words = whole.split(|it: char| !it.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let mut id = words.join("_");
        while !self.ids.insert(id.clone()) {
            id.push('_');
        }
        id
    }

    /// A mount for each prefix, and the page that describes the versioned paths.
    pub(crate) fn register(mut self, config: &Config, registrar: &mut Registrar) {
        let mut document = Value::Null;
        self.endpoints.entry(config.prefix()).or_default();
        for (prefix, endpoints) in self.endpoints {
            let mount = Mount::absolute(prefix.as_str())
                .method_mismatch_is_not_found()
                .render_error(problem::render);
            let mount = endpoints.into_iter().fold(mount, Mount::endpoint);
            if prefix == config.prefix() {
                document = mount.document(&config.service, &config.version.to_string());
            }
            registrar.mount(mount);
        }
        let page = Endpoint::get(config.document().as_str(), move |_| {
            let response = Response::json(&document);
            async { response }
        });
        let page = page.operation(json!({
            "operationId": "document",
            "summary": "What is exposed below the mount",
            "responses": { "200": { "description": "OpenAPI 3.1" } },
        }));
        registrar.mount(Mount::absolute("").endpoint(page.public()));
    }
}

//! Where endpoints answer: below mount and version, and at their bare paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::with_state;

use crate::config::Config;
use crate::exposure::Exposure;
use crate::problem;

/// Mounts by their prefixes.
pub(crate) struct Routes<'c> {
    config: &'c Config,
    mounts: BTreeMap<String, Mount>,
}

impl<'c> Routes<'c> {
    pub(crate) fn new(config: &'c Config) -> Self {
        let mounts = BTreeMap::from([(config.prefix(), mount(&config.prefix()))]);
        Self { config, mounts }
    }

    /// Adds an endpoint.
    pub(crate) fn add<H, F>(
        &mut self,
        exposure: &Arc<Exposure>,
        method: &str,
        path: &str,
        operation: &Value,
        handle: H,
    ) where
        H: Fn(Arc<Exposure>, EndpointCall) -> F + Copy + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let mut places = vec![(self.config.prefix(), path)];
        if self.config.bare {
            // What goes wrong below a prefix is rendered here: it is no longer than it must be.
            let end = path[1..].find('/').map_or(path.len(), |at| at + 1);
            places.push((path[..end].to_owned(), &path[end..]));
        }
        for (prefix, path) in places {
            let path = if path.is_empty() { "/" } else { path };
            let endpoint = Endpoint::new(&[method], path, with_state(exposure, handle));
            let endpoint = endpoint.operation(operation.clone());
            let is_public = exposure.exposed().public;
            let endpoint = if is_public {
                endpoint.public()
            } else {
                endpoint
            };
            let known = self.mounts.remove(&prefix);
            let known = known.unwrap_or_else(|| mount(&prefix));
            self.mounts.insert(prefix, known.endpoint(endpoint));
        }
    }

    /// All of them, and the page that describes the versioned paths.
    pub(crate) fn into_mounts(self) -> impl Iterator<Item = Mount> {
        let Config {
            service, version, ..
        } = self.config;
        let versioned = &self.mounts[&self.config.prefix()];
        let document = versioned.document(service, &version.to_string());
        let shown = Endpoint::get("/openapi.json", move |_| {
            let response = Response::json(&document);
            async { response }
        });
        let page = Mount::absolute(self.config.mount.as_str()).endpoint(shown.public());
        self.mounts.into_values().chain([page])
    }
}

fn mount(prefix: &str) -> Mount {
    Mount::absolute(prefix)
        .method_mismatch_is_not_found()
        .render_error(problem::render)
}

//! `/openapi.json`: all routes of an address as an OpenAPI 3.1 document, made once, at load.
//!
//! It is JSON from the start: plugins describe their endpoints in JSON, and whatever they say
//! passes through. `built_in` has the server's own operations, `fragment` takes those of plugins
//! in, `grammar` says what they may be, `references` keeps their references right.

mod built_in;
mod components;
mod error;
mod fragment;
mod grammar;
mod paths;
mod references;
mod refusals;
mod security;
mod shapes;

use bytes::Bytes;
use serde_json::{Value, json};

pub(crate) use self::error::DocumentError;

use self::components::Components;
use self::paths::Paths;
use self::security::Security;
use super::plugin_routes::RouteTable;
use crate::config::Auth;
use crate::pipeline::Pipeline;
use crate::runtime::AgentSummary;

/// The document, as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Document(Bytes);

/// What an address serves.
pub(super) struct Served<'a> {
    pub(super) base_path: &'a str,
    pub(super) agents: &'a [AgentSummary],
    /// Whether any tool can be called over HTTP.
    pub(super) has_tools: bool,
    pub(super) mounts: &'a RouteTable,
    pub(super) auth: Auth,
    pub(super) has_secret: bool,
    pub(super) pipeline: &'a Pipeline,
    /// Whether the document is public.
    pub(super) is_open: bool,
}

// === impl Document ===

impl Document {
    /// Describes everything that is served.
    ///
    /// # Errors
    /// What a plugin says of its endpoints that is no OpenAPI.
    pub(super) fn of(served: &Served<'_>) -> Result<Self, DocumentError> {
        let security = Security::of(served);
        let mut paths = Paths::default();
        let mut components = Components::default();
        components.own(shapes::schemas(), refusals::responses(), &security);
        built_in::add(served, &security, &mut paths)?;
        fragment::add(served, &security, &mut paths, &mut components)?;
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Mortise",
                "description": "Agents, and what the plugins of this server add.",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "paths": Value::Object(paths.into_map()),
            "components": Value::Object(components.into_map()),
        });
        Ok(Self(document.to_string().into()))
    }

    pub(super) fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests;

//! `/openapi.json`: all routes of an address as an OpenAPI 3.1 document.
//!
//! What plugins say of their endpoints is checked and taken in at load; agents and tools, which come
//! and go, are described as they are when somebody asks.
//!
//! It is JSON from the start: plugins describe their endpoints in JSON, and whatever they say
//! passes through. `built_in` has the server's own operations, `fragment` takes those of plugins
//! in, `grammar` says what they may be, `references` keeps their references right.

mod built_in;
mod components;
mod error;
mod fragment;
mod grammar;
mod parts;
mod paths;
mod references;
mod refusals;
mod security;
mod shapes;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use self::error::DocumentError;

use self::components::Components;
use self::paths::Paths;
use self::security::Security;
use super::plugin_routes::RouteTable;
use crate::config::Auth;
use crate::pipeline::Pipeline;
use crate::runtime::{AgentSummary, ToolSummary};

/// What an address serves.
pub(super) struct Served<'a> {
    pub(super) base_path: &'a str,
    pub(super) mounts: &'a RouteTable,
    pub(super) auth: Auth,
    pub(super) has_secret: bool,
    pub(super) pipeline: &'a Pipeline,
    /// Whether the document is public.
    pub(super) is_open: bool,
}

/// The document, without what comes and goes.
#[derive(Debug)]
pub(super) struct Document {
    base_path: String,
    is_open: bool,
    security: Security,
    /// The paths of plugins.
    plugins: Map<String, Value>,
    components: Map<String, Value>,
}

/// The document as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    openapi: &'static str,
    info: Value,
    paths: Map<String, Value>,
    components: &'a Map<String, Value>,
}

// === impl Document ===

impl Document {
    /// Takes in what plugins say of their endpoints.
    ///
    /// # Errors
    /// What of it is no OpenAPI.
    pub(super) fn of(served: &Served<'_>) -> Result<Self, DocumentError> {
        let security = Security::of(served);
        let mut components = Components::default();
        components.own(shapes::schemas(), refusals::responses(), &security);
        let mut paths = Paths::default();
        // Where a plugin adds a method to a path of the server, the names of the server hold.
        for (method, path, _) in built_in::routes(served.base_path) {
            let _ = paths.spot(method, &path);
        }
        fragment::add(served, &security, &mut paths, &mut components)?;
        Ok(Self {
            base_path: served.base_path.to_owned(),
            is_open: served.is_open,
            security,
            plugins: paths.into_map(),
            components: components.into_map(),
        })
    }

    /// Whether everybody may read it.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// The document with these agents, and these tools that clients may call.
    pub(super) fn show(&self, agents: &[AgentSummary], tools: &[ToolSummary]) -> Shown<'_> {
        let mut paths = built_in::paths(self, agents, tools);
        for (path, item) in &self.plugins {
            match (paths.get_mut(path), item) {
                (Some(Value::Object(own)), Value::Object(item)) => own.extend(item.clone()),
                _ => {
                    paths.insert(path.clone(), item.clone());
                }
            }
        }
        Shown {
            openapi: "3.1.0",
            info: json!({
                "title": "Mortise",
                "description": "Agents, and what the plugins of this server add.",
                "version": env!("CARGO_PKG_VERSION"),
            }),
            paths,
            components: &self.components,
        }
    }
}

#[cfg(test)]
mod tests;

//! Whether what the instances offer fits together, and all of it in one place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Method;
use mortise_plugin_api::OnError;

use super::adapter::{
    AgentAdapter, HookAdapter, ModelAdapter, MountAdapter, ToolAdapter, ToolsetAdapter,
};
use super::capability::{
    AgentCapability, Catalog, HookCapability, ModelCapability, MountCapability, Offered,
    OfferedHook, OfferedMount, ToolCapability,
};
use super::error::LoadError;
use super::instance::Instance;
use super::routes::{Route, Routes, Slashed, without_empty_segments};
use crate::config::{AgentName, InstanceName};

/// What one instance offers.
pub(super) struct Offer {
    pub(super) agents: Vec<AgentAdapter>,
    pub(super) models: Vec<ModelAdapter>,
    pub(super) tools: Vec<ToolAdapter>,
    pub(super) toolset: Option<ToolsetAdapter>,
    pub(super) hooks: Vec<HookAdapter>,
    pub(super) mounts: Vec<MountAdapter>,
}

/// Whether the server itself answers a method of a whole path without the names of its parameters;
/// the last is the base path.
pub(crate) type IsReserved = fn(&Method, &str, &str) -> bool;

/// A catalog that grows instance by instance.
pub(super) struct CatalogBuilder {
    base_path: String,
    catalog: Catalog,
    /// Who offers an agent, by its name.
    agents: HashMap<String, Arc<str>>,
    is_reserved: IsReserved,
    /// Who offers a route, by [`key`](Self::key).
    routes: HashMap<(Method, String), Arc<str>>,
}

// === impl CatalogBuilder ===

impl CatalogBuilder {
    pub(super) fn new(base_path: &str, is_reserved: IsReserved) -> Self {
        Self {
            base_path: base_path.to_owned(),
            catalog: Catalog::default(),
            agents: HashMap::new(),
            is_reserved,
            routes: HashMap::new(),
        }
    }

    pub(super) fn build(self) -> Catalog {
        self.catalog
    }

    /// Adds all that an instance offers, or nothing.
    pub(super) fn add(
        &mut self,
        instance: &Instance,
        offer: Offer,
        on_error: Option<OnError>,
    ) -> Result<(), Vec<LoadError>> {
        let mut errors = Vec::new();
        check_names(instance, &offer, &mut errors);
        self.check_agents(instance, &offer, &mut errors);
        let routes = self.checked_routes(instance, &offer, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }

        let name = instance.name();
        for agent in &offer.agents {
            self.agents
                .insert(agent.info().name.clone(), Arc::clone(name));
        }
        for agent in offer.agents {
            self.catalog.agents.push(offered(name, Arc::new(agent)));
        }
        for model in offer.models {
            self.catalog.models.push(offered(name, Arc::new(model)));
        }
        for tool in offer.tools {
            self.catalog.tools.push(offered(name, Arc::new(tool)));
        }
        if let Some(toolset) = offer.toolset {
            self.catalog.toolsets.push(offered(name, Arc::new(toolset)));
        }
        for (mount, routes) in offer.mounts.into_iter().zip(routes) {
            for route in &routes.all {
                let key = self.key(&routes, route);
                self.routes.insert(key, Arc::clone(name));
            }
            self.catalog.mounts.push(OfferedMount {
                instance: Arc::clone(name),
                capability: Arc::new(mount),
                routes,
            });
        }
        for hook in offer.hooks {
            self.catalog.hooks.push(OfferedHook {
                instance: Arc::clone(name),
                on_error: on_error.unwrap_or(hook.info().on_error),
                meters: instance.meters().clone(),
                capability: Arc::new(hook),
            });
        }
        Ok(())
    }

    fn check_agents(&self, instance: &Instance, offer: &Offer, errors: &mut Vec<LoadError>) {
        let names = offer.agents.iter().map(|agent| &agent.info().name);
        errors.extend(twice(instance, "the agent", names.clone()));
        for name in names {
            if let Some(first) = self.agents.get(name) {
                errors.push(taken(format!("the agent '{name}'"), first, instance));
            }
        }
    }

    /// The routes of each mount, in its order.
    fn checked_routes(
        &self,
        instance: &Instance,
        offer: &Offer,
        errors: &mut Vec<LoadError>,
    ) -> Vec<Routes> {
        let mut own = HashSet::new();
        let mut checked = Vec::new();
        for mount in &offer.mounts {
            let routes = match Routes::of(mount.info()) {
                Ok(routes) => routes,
                Err(mistakes) => {
                    errors.extend(mistakes.into_iter().map(|message| LoadError::Endpoint {
                        instance: instance.name().to_string(),
                        message,
                    }));
                    continue;
                }
            };
            for route in &routes.all {
                let path = routes.scope.whole(&self.base_path, &route.pattern.text);
                let what = format!("{} {path}", route.method);
                let key = self.key(&routes, route);
                if (self.is_reserved)(&route.method, &key.1, &self.base_path) {
                    let instance = instance.name().to_string();
                    errors.push(LoadError::TakesNative { instance, what });
                } else if let Some(first) = self.routes.get(&key) {
                    errors.push(taken(what, first, instance));
                } else if !own.insert(key) {
                    errors.push(taken(what, instance.name(), instance));
                }
            }
            checked.push(routes);
        }
        checked
    }

    /// What no other route may have: the method and the whole path without the names of parameters.
    fn key(&self, routes: &Routes, route: &Route) -> (Method, String) {
        let shape = routes.scope.whole(&self.base_path, &route.pattern.shape);
        let shape = match routes.slashed {
            // At the base path itself there is one more.
            Slashed::Lenient => without_empty_segments(&shape),
            Slashed::Strict => shape,
        };
        (route.method.clone(), shape)
    }
}

fn check_names(instance: &Instance, offer: &Offer, errors: &mut Vec<LoadError>) {
    let agents = offer.agents.iter().map(|agent| {
        let name = agent.info().name.clone();
        ("an agent", AgentName::try_from(name).map(drop))
    });
    let tools = offer.tools.iter().map(|tool| {
        let name = &tool.info().name;
        ("a tool", plain_name(name))
    });
    let hooks = offer.hooks.iter().map(|hook| {
        let name = &hook.info().name;
        ("a hook", plain_name(name))
    });
    // Models are often named after their maker: `maker/model`. `*` stands for any characters.
    let models = offer.models.iter().map(|model| {
        let mut segments = model.info().name.split('/');
        let checked = segments.try_for_each(|it| match it.replace('*', "") {
            rest if rest.is_empty() && !it.is_empty() => Ok(()),
            rest => plain_name(&rest),
        });
        ("a model", checked)
    });
    for (kind, checked) in agents.chain(tools).chain(hooks).chain(models) {
        if let Err(message) = checked {
            errors.push(LoadError::Name {
                instance: instance.name().to_string(),
                kind,
                message,
            });
        }
    }
    let tools = offer.tools.iter().map(|tool| &tool.info().name);
    errors.extend(twice(instance, "the tool", tools));
    let models = offer.models.iter().map(|model| &model.info().name);
    errors.extend(twice(instance, "the model", models));
}

fn offered<T: ?Sized>(instance: &Arc<str>, capability: Arc<T>) -> Offered<T> {
    Offered {
        instance: Arc::clone(instance),
        capability,
    }
}

fn plain_name(name: &str) -> Result<(), String> {
    InstanceName::try_from(name.to_owned()).map(drop)
}

fn taken(what: String, first: &Arc<str>, second: &Instance) -> LoadError {
    LoadError::Taken {
        what,
        first: first.to_string(),
        second: second.name().to_string(),
    }
}

/// Names that one instance uses twice.
fn twice<'a>(
    instance: &Instance,
    kind: &str,
    names: impl Iterator<Item = &'a String>,
) -> Vec<LoadError> {
    let mut seen = HashSet::new();
    names
        .filter(|name| !seen.insert(*name))
        .map(|name| taken(format!("{kind} '{name}'"), instance.name(), instance))
        .collect()
}

//! Whether what the instances offer fits together, and all of it in one place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mortise_plugin_api::{OnError, Prefix};

use super::adapter::{
    AgentAdapter, HookAdapter, ModelAdapter, MountAdapter, ToolAdapter, ToolsetAdapter,
};
use super::capability::{
    AgentCapability, Catalog, HookCapability, ModelCapability, MountCapability, Offered,
    OfferedHook, ToolCapability,
};
use super::error::LoadError;
use super::instance::Instance;
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

/// A catalog that grows instance by instance.
pub(super) struct CatalogBuilder {
    base_path: String,
    catalog: Catalog,
    /// Who offers an agent, by its name.
    agents: HashMap<String, Arc<str>>,
    /// Who offers an endpoint, by method and pattern.
    endpoints: HashMap<(String, String), Arc<str>>,
}

/// The server's own routes below the base path, which also answer without it.
const NATIVE: &[(&str, &str)] = &[
    ("POST", "/{}/run"),
    ("POST", "/{}/run/tool-result"),
    ("POST", "/{}/run/tool-approval"),
    ("POST", "/{}/runs/{}/abort"),
    ("GET", "/{}/conversations/{}"),
    ("GET", "/{}/conversations/{}/resume"),
    ("GET", "/{}/stream-events/resume"),
];

/// The server's own routes at the root.
const ROOT: &[&str] = &["/livez", "/readyz", "/openapi.json"];

/// Below the base path, everything under this is the server's.
const OWN_FOLDER: &str = "/-/";

// === impl CatalogBuilder ===

impl CatalogBuilder {
    pub(super) fn new(base_path: &str) -> Self {
        Self {
            base_path: base_path.to_owned(),
            catalog: Catalog::default(),
            agents: HashMap::new(),
            endpoints: HashMap::new(),
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
        let endpoints = self.checked_endpoints(instance, &offer, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }

        let name = instance.name();
        for agent in &offer.agents {
            self.agents
                .insert(agent.info().name.clone(), Arc::clone(name));
        }
        for endpoint in endpoints {
            self.endpoints.insert(endpoint, Arc::clone(name));
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
        for mount in offer.mounts {
            self.catalog.mounts.push(offered(name, Arc::new(mount)));
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

    /// Every endpoint by method and pattern.
    fn checked_endpoints(
        &self,
        instance: &Instance,
        offer: &Offer,
        errors: &mut Vec<LoadError>,
    ) -> HashSet<(String, String)> {
        let mut own = HashSet::new();
        for mount in &offer.mounts {
            let info = mount.info();
            for endpoint in &info.endpoints {
                let (pattern, path) = match self.pattern(&info.prefix, &endpoint.path) {
                    Ok(both) => both,
                    Err(message) => {
                        let instance = instance.name().to_string();
                        errors.push(LoadError::Endpoint { instance, message });
                        continue;
                    }
                };
                if endpoint.methods.is_empty() {
                    errors.push(LoadError::Endpoint {
                        instance: instance.name().to_string(),
                        message: format!("{path} has no method"),
                    });
                }
                for method in &endpoint.methods {
                    let what = format!("{method} {path}");
                    if method.parse::<http::Method>().is_err() {
                        errors.push(LoadError::Endpoint {
                            instance: instance.name().to_string(),
                            message: format!("{what}: {method:?} is not a method"),
                        });
                    } else if self.is_native(method, &pattern) {
                        let instance = instance.name().to_string();
                        errors.push(LoadError::TakesNative { instance, what });
                    } else if let Some(first) =
                        self.endpoints.get(&(method.clone(), pattern.clone()))
                    {
                        errors.push(taken(what, first, instance));
                    } else if !own.insert((method.clone(), pattern.clone())) {
                        errors.push(taken(what, instance.name(), instance));
                    }
                }
            }
        }
        own
    }

    /// The whole path without the names of its parameters, and with them.
    fn pattern(&self, prefix: &Prefix, path: &str) -> Result<(String, String), String> {
        let whole = match prefix {
            Prefix::Base(prefix) => format!("{}/{prefix}/{path}", self.base_path),
            Prefix::Absolute(prefix) => format!("/{prefix}/{path}"),
        };
        let (mut pattern, mut shown) = (String::new(), String::new());
        let segments = whole.split('/').filter(|segment| !segment.is_empty());
        for segment in segments {
            if segment
                .chars()
                .any(|it| it.is_whitespace() || it.is_control() || matches!(it, '?' | '#'))
            {
                return Err(format!("{whole:?} is not a path"));
            }
            shown.extend(["/", segment]);
            pattern.push('/');
            pattern.push_str(match segment.as_bytes() {
                [b'*', ..] | [b'{', b'*', .., b'}'] => "{*}",
                [b':', _, ..] | [b'{', _, .., b'}'] => "{}",
                _ => segment,
            });
        }
        if shown.is_empty() {
            return Ok(("/".to_owned(), "/".to_owned()));
        }
        Ok((pattern, shown))
    }

    fn is_native(&self, method: &str, pattern: &str) -> bool {
        let below_base = pattern.strip_prefix(self.base_path.as_str());
        let is_one = |path: &str| NATIVE.contains(&(method, path));
        let is_root = (method == "GET" || method == "HEAD") && ROOT.contains(&pattern);
        is_root
            || is_one(pattern)
            || below_base.is_some_and(|path| is_one(path) || path.starts_with(OWN_FOLDER))
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

//! The agents as they are now: some of their tools come and go with the servers that have them.
//!
//! A run keeps the agent that it began with, and so the tools.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use mortise_plugin_api::{Error, Result, ToolInfo};

use super::agents::{AgentError, Agents, full_name};
use crate::config::{Config, InstanceName, ToolPattern};
use crate::plugin::capability::{Catalog, Offered, ToolCapability};
use crate::schema::Schema;

/// The agents, and what they are made of.
pub(crate) struct Roster {
    config: Config,
    catalog: Mutex<Catalog>,
    agents: ArcSwap<Agents>,
}

// === impl Roster ===

impl Roster {
    /// Finds everything that the configured agents need.
    pub(crate) fn build(config: &Config, catalog: Catalog) -> Result<Self, Vec<AgentError>> {
        let agents = Agents::build(config, &catalog)?;
        Ok(Self {
            config: config.clone(),
            catalog: Mutex::new(catalog),
            agents: ArcSwap::from_pointee(agents),
        })
    }

    pub(crate) fn now(&self) -> Arc<Agents> {
        self.agents.load_full()
    }

    /// Whether any tool may be called by clients themselves.
    pub(crate) fn has_endpoints(&self) -> bool {
        self.agents.load().has_endpoints()
    }

    /// Asks an instance for its tools again. Runs that begin from now on have these.
    ///
    /// # Errors
    /// An agent would have two tools of one name; then everything stays as it was.
    pub(crate) fn refresh(&self, instance: &str) -> Result<()> {
        let mut catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        let toolsets = &catalog.toolsets;
        let toolset = toolsets.iter().find(|it| &*it.instance == instance);
        let Some(Offered {
            instance,
            capability,
        }) = toolset
        else {
            return Err(Error::invalid(
                "the instance has no toolset: it must be registered to be replaced",
            ));
        };
        let instance = Arc::clone(instance);
        let new = usable(&instance, capability.tools()?);
        let new = new.into_iter().map(|capability| Offered {
            instance: Arc::clone(&instance),
            capability,
        });
        let before = std::mem::take(&mut catalog.tools);
        // In the place of the old ones: the order of instances is that of the configuration.
        let place = before.iter().position(|it| it.instance == instance);
        let (mut old, mut tools) = (Vec::new(), Vec::new());
        for offered in before {
            if offered.instance == instance {
                old.push(offered);
            } else {
                tools.push(offered);
            }
        }
        let place = place.unwrap_or(tools.len());
        let count = new.len();
        tools.splice(place..place, new);
        catalog.tools = tools;
        match Agents::build(&self.config, &catalog) {
            Ok(agents) => {
                self.agents.store(Arc::new(agents));
                tracing::info!(plugin = %instance, tools = count, "tools changed");
                Ok(())
            }
            Err(errors) => {
                catalog.tools.splice(place..place + count, old);
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Err(Error::invalid(errors.join("; ")))
            }
        }
    }

    /// Says which tools of instances whose tools come and go are named, and not there.
    pub(crate) fn warn_of_missing(&self) {
        let catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        let agents = self.config.agents.iter();
        let named = agents.flat_map(|(_, agent)| &agent.tools);
        let named = named.chain(&self.config.tools.shared);
        let named = named.chain(&self.config.tools.endpoints);
        let named = named.filter(|it| it.is_exact()).map(ToolPattern::as_str);
        let named = named.chain(self.config.tools.named.keys().map(String::as_str));
        let named: HashSet<&str> = named.collect();
        for toolset in &catalog.toolsets {
            let instance = &toolset.instance;
            let own = catalog.tools.iter().filter(|it| it.instance == *instance);
            let own: Vec<String> = own
                .map(|it| full_name(instance, it.capability.info()))
                .collect();
            let prefix = format!("{instance}.");
            let missing = named
                .iter()
                .filter(|name| name.starts_with(&prefix) && !own.iter().any(|full| full == **name));
            for name in missing {
                tracing::warn!(
                    plugin = %instance,
                    "the configuration names the tool {name:?}, which is not there now; there are: {}",
                    own.join(", ")
                );
            }
        }
    }
}

/// Those that can be offered. The others are logged: the tools of a whole server shall not be
/// missing because one of them is broken.
fn usable(instance: &str, tools: Vec<Arc<dyn ToolCapability>>) -> Vec<Arc<dyn ToolCapability>> {
    let mut seen = HashSet::new();
    let mut usable = Vec::with_capacity(tools.len());
    for tool in tools {
        let info = tool.info();
        match problem(info, &mut seen) {
            None => usable.push(tool),
            Some(problem) => tracing::warn!(
                plugin = instance,
                tool = info.name,
                "a tool is left out: {problem}"
            ),
        }
    }
    usable
}

fn problem(info: &ToolInfo, seen: &mut HashSet<String>) -> Option<String> {
    if let Err(problem) = InstanceName::try_from(info.name.clone()) {
        return Some(problem);
    }
    if let Err(error) = Schema::compile(&info.schema) {
        return Some(format!("its schema is invalid: {error}"));
    }
    if !seen.insert(info.name.clone()) {
        return Some("there is another of this name".to_owned());
    }
    None
}

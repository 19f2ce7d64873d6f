//! Which requests need which scopes.

use std::ops::Deref;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AgentName, InstanceName};

use crate::config::RuleConfig;

/// The rules, as they were configured.
#[derive(Debug)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    kinds: Vec<RequestKind>,
    methods: Vec<String>,
    agents: Vec<AgentName>,
    mounts: Vec<InstanceName>,
    scopes: Vec<String>,
}

// === impl Rules ===

impl Rules {
    pub(crate) fn new(configs: Vec<RuleConfig>) -> Result<Self> {
        let rules = configs.into_iter().enumerate();
        let rules = rules.map(|(place, config)| Rule::new(place, config));
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// The scopes that this request needs and this principal lacks.
    pub(crate) fn missing(&self, request: &Request, principal: &Principal) -> Vec<&str> {
        let mut missing = Vec::new();
        for rule in self.0.iter().filter(|rule| rule.fits(request)) {
            for scope in &rule.scopes {
                if !principal.has_scope(scope) && !missing.contains(&scope.as_str()) {
                    missing.push(scope.as_str());
                }
            }
        }
        missing
    }
}

// === impl Rule ===

impl Rule {
    fn new(place: usize, config: RuleConfig) -> Result<Self> {
        let wrong = |setting: &str, message: String| {
            Error::config(format!("/rules/{place}/{setting}"), message)
        };
        if config.scopes.is_empty() {
            let message = "is empty: the rule would ask for nothing";
            return Err(wrong("scopes", message.to_owned()));
        }
        if let Some(scope) = config.scopes.iter().find(|it| !is_scope(it)) {
            let message = format!("has {scope:?}, which is no scope");
            return Err(wrong("scopes", message));
        }
        let mut kinds = Vec::new();
        for kind in &config.kinds {
            let known = serde_json::from_value(Value::String(kind.clone())).ok();
            // Whether a run is streamed is the client's choice, so a rule cannot depend on it.
            let known = known.filter(|it| *it != RequestKind::Stream);
            kinds.push(known.ok_or_else(|| {
                let message = format!("has {kind:?}, which is no kind of request{}", hint(kind));
                wrong("kinds", message)
            })?);
        }
        if kinds.contains(&RequestKind::Run) {
            kinds.push(RequestKind::Stream);
        }
        let methods = config.methods.iter().map(|it| it.to_ascii_uppercase());
        Ok(Self {
            kinds,
            methods: methods.collect(),
            agents: config.agents,
            mounts: config.mounts,
            scopes: config.scopes,
        })
    }

    fn fits(&self, request: &Request) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&request.kind()))
            && among(&self.methods, Some(request.method()))
            && among(&self.agents, request.agent())
            && among(&self.mounts, request.mount())
    }
}

/// Whether a list that names nothing, or this, fits.
fn among(names: &[impl Deref<Target = str>], name: Option<&str>) -> bool {
    names.is_empty() || name.is_some_and(|name| names.iter().any(|own| **own == *name))
}

fn hint(kind: &str) -> &'static str {
    if kind == "stream" {
        "; \"run\" means both forms of a run"
    } else {
        ""
    }
}

/// As RFC 6749 spells them, so that a list of them can stand in a header.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|it| it.is_ascii_graphic() && it != b'"' && it != b'\\')
}

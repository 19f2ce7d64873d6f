//! Which provider and which model a name means.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use genai::Client;
use mortise_plugin_api::ModelCapabilities;
use mortise_plugin_api::prelude::*;
use serde_json::Map;

use crate::api::Api;
use crate::config::{Config, ModelConfig, ProviderConfig, RetriesConfig, TimeoutsConfig};
use crate::provider::{Environment, Provider};

/// A model of a provider.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) provider: Arc<Provider>,
    pub(crate) model: String,
}

/// What a name means: whom to ask, one after the other, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) options: Map<String, Value>,
}

/// Everybody who can be asked.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) timeouts: TimeoutsConfig,
    pub(crate) retries: RetriesConfig,
    providers: BTreeMap<String, Arc<Provider>>,
    /// Whose models are meant by names that are not in `models`.
    provider: Option<Arc<Provider>>,
    models: BTreeMap<String, (ModelConfig, Vec<Target>)>,
    client: OnceLock<Client>,
}

// === impl Targets ===

impl Targets {
    /// # Errors
    /// `CONFIG` for whatever cannot be meant.
    pub(crate) fn new(mut config: Config, environment: Environment<'_>) -> Result<Self> {
        let mut providers = BTreeMap::new();
        for api in Api::ALL {
            if !config.providers.contains_key(api.name()) {
                let found = Provider::new(api.name(), ProviderConfig::default(), environment);
                // The variables are for other tools too: what cannot be used is nobody's mistake
                // here, unless an agent names it.
                if let Some(provider) = found.ok().filter(Provider::has_what_it_needs) {
                    providers.insert(api.name().to_owned(), Arc::new(provider));
                }
            }
        }
        for (name, provider) in std::mem::take(&mut config.providers) {
            let provider = Provider::new(&name, provider, environment)?;
            providers.insert(name, Arc::new(provider));
        }
        let provider = match &config.provider {
            Some(name) => Some(named(&providers, name, "/provider")?),
            None => None,
        };
        let mut models = BTreeMap::new();
        for (name, model) in config.models {
            let place = format!("/models/{name}");
            let mut targets = vec![target(&providers, &model.model, &format!("{place}/model"))?];
            for (index, fallback) in model.fallback.iter().enumerate() {
                let place = format!("{place}/fallback/{index}");
                targets.push(target(&providers, fallback, &place)?);
            }
            models.insert(name, (model, targets));
        }
        Ok(Self {
            timeouts: config.timeouts,
            retries: config.retries,
            providers,
            provider,
            models,
            client: OnceLock::new(),
        })
    }

    /// What the instance offers: the models that have names, and all others.
    pub(crate) fn offered(&self) -> Vec<ModelInfo> {
        let named = self.models.iter().map(|(name, (model, targets))| {
            let input = model.input.as_ref().unwrap_or(&targets[0].provider.input);
            info(name.clone(), input)
        });
        let others: Vec<ModelInfo> = match &self.provider {
            Some(provider) => vec![info("*".to_owned(), &provider.input)],
            None => self
                .providers
                .values()
                .map(|provider| info(format!("{}/*", provider.name), &provider.input))
                .collect(),
        };
        named.chain(others).collect()
    }

    /// What the model that was asked for means.
    pub(crate) fn plan(&self, name: &str) -> Result<Plan> {
        if let Some((model, targets)) = self.models.get(name) {
            return Ok(Plan {
                targets: targets.clone(),
                options: model.options.clone(),
            });
        }
        let target = match &self.provider {
            Some(provider) => Target {
                provider: Arc::clone(provider),
                model: name.to_owned(),
            },
            None => target(&self.providers, name, "").map_err(|error| {
                Error::not_found(format!("the model '{name}' {}", error.message()))
            })?,
        };
        Ok(Plan {
            targets: vec![target],
            options: Map::new(),
        })
    }

    /// Makes the client, which reads the certificates of the system.
    pub(crate) fn connect(&self) -> Result<()> {
        // Fails where it was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("mortise/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.timeouts.connect.0)
            // A key must not follow where it was not meant to go.
            .redirect(reqwest::redirect::Policy::none())
            // Compressed pieces of a stream are held back until there are enough of them.
            .no_gzip()
            .build()?;
        let client = Client::builder().with_reqwest(http).build();
        // Fails where it was done before.
        let _ = self.client.set(client?);
        Ok(())
    }

    pub(crate) fn client(&self) -> Result<&Client> {
        self.client
            .get()
            .ok_or_else(|| Error::unavailable("The models of this instance are not started yet."))
    }
}

fn info(name: String, input: &[String]) -> ModelInfo {
    let mut capabilities = ModelCapabilities::default();
    for kind in input {
        capabilities = capabilities.with_input(kind);
    }
    ModelInfo::new(name).with_capabilities(capabilities)
}

fn target(providers: &BTreeMap<String, Arc<Provider>>, name: &str, place: &str) -> Result<Target> {
    let Some((provider, model)) = name.split_once('/').filter(|(_, model)| !model.is_empty())
    else {
        let message = "does not name a provider; write it as \"openai/gpt-4.1-mini\"";
        return Err(Error::config(place, message));
    };
    Ok(Target {
        provider: named(providers, provider, place)?,
        model: model.to_owned(),
    })
}

fn named(
    providers: &BTreeMap<String, Arc<Provider>>,
    name: &str,
    place: &str,
) -> Result<Arc<Provider>> {
    if let Some(provider) = providers.get(name) {
        return Ok(Arc::clone(provider));
    }
    let remedy = match Api::named(name) {
        Some(api) => format!(
            "set {} or `providers.{name}.key`",
            api.home().key_variables[0]
        ),
        None => format!("add `providers.{name}` with its `url`"),
    };
    let message = format!("names the provider '{name}', which is not there; {remedy}");
    Err(Error::config(place, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(config: Value) -> Result<Targets> {
        let config = serde_json::from_value(config).unwrap();
        Targets::new(config, &|name| {
            (name == "ANTHROPIC_API_KEY").then(|| "a-key".to_owned())
        })
    }

    fn names(targets: &Targets) -> Vec<String> {
        targets.offered().into_iter().map(|it| it.name).collect()
    }

    #[test]
    fn providers_with_a_key_are_there_without_an_entry() {
        let targets = targets(json!({})).unwrap();
        assert_eq!(names(&targets), ["anthropic/*", "ollama/*"]);

        let plan = targets.plan("ollama/qwen3:4b").unwrap();
        assert_eq!(plan.targets[0].model, "qwen3:4b");
        assert_eq!(
            targets.plan("ollama/").unwrap_err().code(),
            Some("NOT_FOUND")
        );
    }

    #[test]
    fn with_one_provider_names_are_those_of_its_models() {
        let targets = targets(json!({
            "provider": "router",
            "providers": { "router": { "url": "https://router.example/api/v1" } },
        }))
        .unwrap();
        assert_eq!(names(&targets), ["*"]);
        let plan = targets.plan("anthropic/claude").unwrap();
        assert_eq!(plan.targets[0].provider.name, "router");
        assert_eq!(plan.targets[0].model, "anthropic/claude");
    }

    #[test]
    fn a_named_model_has_fallbacks_and_options() {
        let targets = targets(json!({
            "models": { "fast": {
                "model": "anthropic/claude", "fallback": ["ollama/qwen3"],
                "options": { "temperature": 0 },
            }},
        }))
        .unwrap();
        assert_eq!(names(&targets), ["fast", "anthropic/*", "ollama/*"]);
        let plan = targets.plan("fast").unwrap();
        let asked: Vec<_> = plan.targets.iter().map(|it| it.model.as_str()).collect();
        assert_eq!(asked, ["claude", "qwen3"]);
        assert_eq!(plan.options["temperature"], 0);
    }

    #[test]
    fn what_is_not_there_is_named_with_its_place_and_the_remedy() {
        let table = [
            (
                json!({ "provider": "openai" }),
                "/provider",
                "OPENAI_API_KEY",
            ),
            (
                json!({ "models": { "a": { "model": "vllm/x" } } }),
                "/models/a/model",
                "providers.vllm",
            ),
            (
                json!({ "models": { "a": { "model": "ollama/x", "fallback": ["y"] } } }),
                "/models/a/fallback/0",
                "openai/gpt-4.1-mini",
            ),
        ];
        for (config, place, remedy) in table {
            let error = targets(config).unwrap_err();
            assert_eq!(error.issues()[0].path, place);
            assert!(error.message().contains(remedy), "{error:?}");
        }
    }
}

//! Asking a model outside of a run at hand.

use serde_json::json;

use crate::agent::{Agent, AgentInfo};
use crate::error::Result;
use crate::event::RunResult;
use crate::host::Host;
use crate::message::Item;
use crate::model::ModelRequest;
use crate::principal::Principal;
use crate::run::RunContext;
use crate::run_request::RunRequest;

/// A model behind instructions, for a plugin that asks it outside of a run: an agent that clients
/// cannot run. What it costs counts for whom it is asked.
///
/// ```
/// use mortise_plugin_api::prelude::*;
/// use mortise_plugin_api::Prompt;
///
/// async fn title(host: &Host, prompt: &Prompt, text: &str, user: &Principal) -> Result<String> {
///     prompt.ask(host, &[Item::user(text)], user).await
/// }
///
/// // In `register`: registrar.agent(prompt.clone())
/// let prompt = Prompt::new("titles", "llm/small", "Say what this is about in three words.");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    name: String,
    model: String,
    instructions: String,
}

// === impl Prompt ===

impl Prompt {
    /// `name` is that of an agent, so let it begin with that of the instance; `model` is
    /// `instance/name` as in the configuration.
    pub fn new(
        name: impl Into<String>,
        model: impl Into<String>,
        instructions: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            instructions: instructions.into(),
        }
    }

    /// What the model answers to this, for somebody.
    pub async fn ask(&self, host: &Host, input: &[Item], principal: &Principal) -> Result<String> {
        let request = RunRequest::new(&self.name, json!(input)).with_principal(principal.clone());
        let result = host.run_agent(&request).await?;
        Ok(result.response.text_content())
    }
}

impl Agent for Prompt {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(&self.name, "Asks a model for a plugin").not_exposed()
    }

    async fn run(&self, run: RunContext, mut input: Vec<Item>) -> Result<RunResult> {
        input.insert(0, Item::message("system", self.instructions.as_str()));
        let response = run.generate(&self.model, &ModelRequest::new(input)).await?;
        Ok(RunResult::text(response.text_content()))
    }
}

//! `name.version`: what is exposed, as an agent that other agents may ask.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::exposure::Exposure;
use crate::request::Asked;

/// An agent that checks what goes into another and what comes out of it.
#[derive(Debug)]
pub(crate) struct Invocation {
    info: AgentInfo,
    exposure: Arc<Exposure>,
}

// === impl Invocation ===

impl Invocation {
    pub(crate) fn new(exposure: Arc<Exposure>) -> Self {
        let (exposed, version) = (exposure.exposed(), exposure.config.version);
        let mut purpose = format!(
            "{} The task is JSON: {{\"payload\": …, \"parameter\": {{…}}}}, without a parameter where there is none.",
            exposed.summary
        );
        if let Some(schema) = &exposed.payload {
            purpose += " The schema of the payload: ";
            purpose += &schema.source().to_string();
        }
        let info = AgentInfo::new(format!("{}.{version}", exposed.name()), purpose.trim())
            .with_agent(&exposed.agent)
            .not_exposed();
        Self { info, exposure }
    }
}

impl Agent for Invocation {
    fn info(&self) -> AgentInfo {
        self.info.clone()
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let task = input.last().map(Item::text).unwrap_or_default();
        let asked: Asked = serde_json::from_str(&task).map_err(|error| {
            let name = &self.info.name;
            Error::bad_request(format!(
                "'{name}' is asked with {{\"payload\": …, \"parameter\": {{…}}}} as JSON: {error}."
            ))
        })?;
        self.exposure.check(&asked)?;
        let (agent, prompt) = (
            &self.exposure.exposed().agent,
            self.exposure.prompt(&asked)?,
        );
        let mut result = run.run_agent_in(json!(asked), agent, prompt).await?;
        result.structured = Some(self.exposure.output(&result)?).filter(|it| !it.is_null());
        Ok(result)
    }
}

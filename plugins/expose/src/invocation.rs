//! `name.version`: what is exposed, as an agent that other agents may ask.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::exposure::Exposure;
use crate::request::Asked;

const FORM: &str = r#"{"payload": …, "parameter": {…}}"#;

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
        let purpose = format!("{}\nThe task is JSON: {FORM}", exposed.summary);
        let mut info = AgentInfo::new(format!("{}.{version}", exposed.name()), purpose.trim());
        if let Some(schema) = &exposed.payload {
            info.description = format!("{}, the payload of {}", info.description, schema.source());
        }
        let info = info.with_agent(&*exposed.agent).not_exposed();
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
            Error::bad_request(format!("'{name}' is asked with {FORM} as JSON: {error}."))
        })?;
        self.exposure.check(&asked)?;
        let told = self.exposure.prompt(&asked)?;
        let agent = &self.exposure.exposed().agent;
        let mut result = run.run_agent_in(json!(asked), agent, told).await?;
        result.structured = Some(self.exposure.output(&result)?).filter(|it| !it.is_null());
        Ok(result)
    }
}

//! An exposed agent: what it is asked, and what comes of it, both checked.

use std::sync::Arc;

use mortise_plugin_api::Template;
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::schema::{Issue, Schema};

use crate::config::{Config, Exposed};
use crate::problem;
use crate::request::Asked;

/// An exposed agent.
#[derive(Debug)]
pub(crate) struct Exposure {
    pub(crate) host: Host,
    pub(crate) config: Arc<Config>,
    /// Its place among the endpoints.
    place: usize,
}

impl Exposure {
    pub(crate) fn new(host: &Host, config: &Arc<Config>, place: usize) -> Self {
        let (host, config) = (host.clone(), Arc::clone(config));
        Self {
            host,
            config,
            place,
        }
    }

    /// What the configuration says of it.
    pub(crate) fn exposed(&self) -> &Exposed {
        &self.config.endpoints[self.place]
    }

    /// Refuses what does not fit the schemas.
    pub(crate) fn check(&self, asked: &Asked) -> Result<()> {
        let exposed = self.exposed();
        fits(exposed.payload.as_ref(), &asked.payload, "payload")?;
        fits(exposed.parameter.as_ref(), &asked.parameter, "parameter")
    }

    /// What the agent is told.
    pub(crate) fn prompt(&self, asked: &Asked) -> Result<String> {
        match &self.exposed().input {
            Some(template) => filled_in(template, asked),
            None => Ok(asked.payload.to_string()),
        }
    }

    /// The run of somebody for what was asked.
    pub(crate) fn run(&self, asked: &Asked, caller: Principal) -> Result<RunRequest> {
        self.check(asked)?;
        let mut run = RunRequest::new(&*self.exposed().agent, self.prompt(asked)?)
            .with_context(json!(asked))
            .with_principal(caller);
        if let Some(template) = &self.exposed().conversation {
            let id = filled_in(template, asked)?;
            if id.trim().is_empty() {
                let message = "The request names no conversation, and this agent needs one.";
                return Err(Error::bad_request(message));
            }
            run = run.with_conversation(id);
        }
        // A model needs no asking for a text.
        let output = self.exposed().output.as_ref().map(Schema::source);
        run.output_schema = output.filter(|schema| schema["type"] != "string").cloned();
        Ok(run)
    }

    /// What a run came to, checked; `null` where that is nothing.
    pub(crate) fn output(&self, result: &RunResult) -> Result<Value> {
        let schema = self.exposed().output.as_ref();
        let text = result.response.text_content();
        let checked = match (&result.structured, schema) {
            (None, Some(schema)) if !text.is_empty() => schema.read(text),
            (None, None) if !text.is_empty() => Ok(text.into()),
            (structured, schema) => {
                let value = structured.clone().unwrap_or_default();
                schema
                    .map_or(Ok(()), |it| it.validate(&value))
                    .map(|()| value)
            }
        };
        checked.map_err(|issues| {
            let (agent, said) = (&self.exposed().agent, said(&issues));
            Error::internal(format!(
                "the output of the agent '{agent}' does not fit `output`: {said}"
            ))
        })
    }
}

fn filled_in(template: &Template, asked: &Asked) -> Result<String> {
    let values = [("payload", &asked.payload), ("parameter", &asked.parameter)];
    template.render(values).map_err(|error| {
        tracing::warn!(%error, "a template cannot be filled in: a schema of the payload refuses such a payload");
        Error::bad_request("The payload is not what the agent works with.")
    })
}

fn fits(schema: Option<&Schema>, value: &Value, what: &str) -> Result<()> {
    let Some(Err(issues)) = schema.map(|schema| schema.validate(value)) else {
        return Ok(());
    };
    let errors: Vec<Value> = issues.iter().map(problem::issue).collect();
    let message = format!("The {what} does not fit its schema: {}.", said(&issues));
    Err(Error::bad_request(message).with_context(problem::ERRORS, errors))
}

fn said(issues: &[Issue]) -> String {
    let said = issues
        .iter()
        .map(|it| format!("{} {}", it.instance_path, it.message));
    said.collect::<Vec<_>>().join(", ").trim().to_owned()
}

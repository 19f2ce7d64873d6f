//! How failures of a run read, inside its stream and to whoever waits for it.

use mortise_plugin_api::{Error, Issue, TemplateError};
use serde_json::{Value, json};

use crate::schema;

/// A step failed: as it stands in `STEP_ERROR`. Internal failures are told apart by nobody outside.
pub(crate) fn of_step(error: &Error) -> Error {
    if error.public_code() == Error::INTERNAL {
        Error::internal("Run stream step failed")
    } else {
        error.clone()
    }
}

/// The run failed: as it stands in `RUN_ERROR`, and as a JSON run answers.
pub(crate) fn of_run(error: &Error) -> Error {
    let step = of_step(error);
    let message = format!("Run failed: {}", step.message());
    step.with_message(message)
}

/// The run was aborted, whatever it failed with when that happened.
pub(crate) fn aborted(error: Option<Error>, run_id: &str) -> Error {
    error
        .filter(|error| error.code() == Some(Error::ABORTED))
        .unwrap_or_else(|| {
            Error::aborted(format!("Run '{run_id}' was aborted.")).with_context("runId", run_id)
        })
}

/// The run that this one is a part of may take no more steps.
pub(crate) fn no_steps_left() -> Error {
    Error::new(
        "MAX_STEPS",
        "The steps of the run are used up: its agents share one budget.",
    )
}

/// The context is not what the instructions of the agent expect of it.
pub(crate) fn of_template(agent: &str, error: &TemplateError) -> Error {
    Error::internal(format!(
        "the instructions of the agent '{agent}' cannot be filled in from this context: {error}; \
         `context_schema` refuses such a context"
    ))
}

/// The server stops while the run waits: it goes on with the next start.
pub(crate) fn parked() -> Error {
    Error::new(PARKED, "the run is parked")
}

pub(crate) fn is_parked(error: &Error) -> bool {
    error.code() == Some(PARKED)
}

/// The server ended while the run was doing something that must not be done twice.
pub(crate) fn interrupted() -> Error {
    Error::new(
        "INTERRUPTED",
        "The server stopped while the run was under way.",
    )
}

/// Nobody outside reads this.
const PARKED: &str = "PARKED";

/// A value does not fit its schema.
pub(crate) fn invalid(what: &str, issues: &[schema::Issue]) -> Error {
    let details: Vec<Value> = issues
        .iter()
        .map(|issue| {
            json!({
                "instancePath": issue.instance_path,
                "schemaPath": issue.schema_path,
                "keyword": issue.keyword,
                "params": issue.params,
                "message": issue.message,
            })
        })
        .collect();
    let mut error = Error::invalid(format!("The provided data is invalid according to {what}."))
        .with_context("issuesCount", issues.len())
        .with_context("issues", details);
    for Issue { message, path } in plain(issues) {
        error = error.with_issue(path, message);
    }
    error
}

/// The issues with their places, `/` for the whole value.
pub(crate) fn plain(issues: &[schema::Issue]) -> Vec<Issue> {
    issues
        .iter()
        .map(|issue| Issue {
            message: issue.message.clone(),
            path: if issue.instance_path.is_empty() {
                "/".into()
            } else {
                issue.instance_path.clone()
            },
        })
        .collect()
}

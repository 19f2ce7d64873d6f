//! What code of the same program says when it asks for something.

use std::time::Duration;

use mortise_plugin_api::{Error, Item, Result};
use serde_json::{Map, Value};

use crate::runtime::{self, OutputRequest, RunRequest};

/// What a run is asked for with: the fields of the body of `POST /:name/run`, typed.
///
/// A text is all that most runs need, so that it stands for the options where options are wanted:
///
/// ```
/// use std::time::Duration;
///
/// use mortise_host::{App, Error, RunOptions};
/// use serde_json::json;
///
/// # async fn run(app: App) -> Result<(), Error> {
/// app.run("assistant", "What is the weather in Tokyo?").await?;
///
/// let options = RunOptions::new("And tomorrow?")
///     .with_conversation("conv_123")
///     .with_context(json!({ "userId": "ann" }))
///     .with_max_steps(3)
///     .with_tool_approval_timeout(Duration::from_secs(120));
/// app.run("assistant", options).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing by themselves"]
pub struct RunOptions {
    request: RunRequest,
    request_id: Option<String>,
}

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RunInput {
    /// A text of the user.
    Text(String),
    /// Messages and other items.
    Items(Vec<Item>),
}

/// A decision on a tool call that waits for an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision does nothing until it is submitted"]
pub struct Decision {
    approved: bool,
    note: Option<String>,
    actor_id: Option<String>,
}

/// A stored conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Conversation {
    /// What was said, oldest first.
    pub items: Vec<Item>,
}

// === impl RunOptions ===

impl RunOptions {
    /// A run with this input: a text, an item, or a list of items.
    pub fn new(input: impl Into<RunInput>) -> Self {
        let input = match input.into() {
            RunInput::Text(text) => text.into(),
            RunInput::Items(items) => items.iter().map(item).collect(),
        };
        Self {
            request: RunRequest {
                input,
                ..RunRequest::default()
            },
            request_id: None,
        }
    }

    /// The context, validated against the agent's schema.
    pub fn with_context(mut self, context: impl Into<Value>) -> Self {
        self.request.context = Some(context.into());
        self
    }

    /// The conversation to continue, or to begin; without a store that keeps conversations this
    /// has no effect.
    pub fn with_conversation(mut self, id: impl Into<String>) -> Self {
        self.request.conversation_id = Some(id.into());
        self
    }

    /// Leaves out what the conversation has so far, and replaces it by this run.
    pub fn with_replaced_history(mut self) -> Self {
        self.request.replace_history = true;
        self
    }

    /// Shows the model also those parts of the conversation that it says it does not take;
    /// otherwise they are left out.
    pub fn with_unsupported_parts(mut self) -> Self {
        self.request.omit_unsupported_parts = Some(false);
        self
    }

    /// The JSON Schema of the answer, in place of the agent's own; the valid answer is
    /// [`RunResult::structured`](mortise_plugin_api::RunResult::structured).
    pub fn with_output_schema(mut self, schema: Map<String, Value>) -> Self {
        self.output().schema = schema.into();
        self
    }

    /// What the model is told the answer is called; needs an
    /// [output schema](Self::with_output_schema).
    pub fn with_output_name(mut self, name: impl Into<String>) -> Self {
        self.output().name = Some(name.into());
        self
    }

    /// Asks the model to keep to the schema exactly, or not to; needs an
    /// [output schema](Self::with_output_schema).
    pub fn with_strict_output(mut self, strict: bool) -> Self {
        self.output().strict = Some(strict);
        self
    }

    /// What the answer may consist of, such as `text` and `image`.
    pub fn with_modalities<T: Into<String>>(
        mut self,
        modalities: impl IntoIterator<Item = T>,
    ) -> Self {
        self.request.modalities = Some(modalities.into_iter().map(Into::into).collect());
        self
    }

    /// What is handed to the model, over the agent's own `model_options`.
    pub fn with_model_options(mut self, options: Map<String, Value>) -> Self {
        self.request.model_options = Some(options);
        self
    }

    /// How many times the model may be asked, at least once, in place of the agent's own limit.
    pub fn with_max_steps(mut self, steps: u32) -> Self {
        self.request.max_steps = Some(steps);
        self
    }

    /// How long the run waits for a client tool, in place of the agent's time.
    pub fn with_client_tool_result_timeout(mut self, timeout: Duration) -> Self {
        self.request.client_tool_result_timeout = Some(timeout);
        self
    }

    /// How long the run waits for an approval, in place of the agent's time.
    pub fn with_tool_approval_timeout(mut self, timeout: Duration) -> Self {
        self.request.tool_approval_timeout = Some(timeout);
        self
    }

    /// The id by which logs and plugins know what asked for the run; one is made otherwise.
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The request, and the id that was chosen for it.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for what the types allow and the body over HTTP does not.
    pub(super) fn checked(self) -> Result<(RunRequest, Option<String>)> {
        let Self {
            request,
            request_id,
        } = self;
        let is_blank = |text: &String| text.trim().is_empty();
        let is_zero = |timeout: Option<Duration>| timeout.is_some_and(|timeout| timeout.is_zero());
        if request.conversation_id.as_ref().is_some_and(is_blank) {
            return Err(unfit("/conversationId", "the conversation id is blank"));
        }
        if request.max_steps == Some(0) {
            return Err(unfit("/maxSteps", "a run has at least one step"));
        }
        if is_zero(request.client_tool_result_timeout) || is_zero(request.tool_approval_timeout) {
            return Err(unfit("/advanced", "a timeout is longer than nothing"));
        }
        if request
            .output
            .as_ref()
            .is_some_and(|output| output.schema.is_null())
        {
            let message = "an output name or strictness needs an output schema";
            return Err(unfit("/output/schema", message));
        }
        if request.modalities.as_ref().is_some_and(Vec::is_empty) {
            return Err(unfit("/modalities", "an answer has at least one modality"));
        }
        Ok((request, request_id))
    }

    fn output(&mut self) -> &mut OutputRequest {
        self.request.output.get_or_insert_with(|| OutputRequest {
            schema: Value::Null,
            name: None,
            strict: None,
        })
    }
}

fn item(item: &Item) -> Value {
    serde_json::to_value(item).expect("an item is JSON: its keys are texts")
}

fn unfit(path: &str, message: &str) -> Error {
    Error::invalid(format!("The run cannot be started: {message}.")).with_issue(path, message)
}

impl<T: Into<RunInput>> From<T> for RunOptions {
    fn from(input: T) -> Self {
        Self::new(input)
    }
}

// === impl RunInput ===

impl From<&str> for RunInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for RunInput {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Item> for RunInput {
    fn from(item: Item) -> Self {
        Self::Items(vec![item])
    }
}

impl From<Vec<Item>> for RunInput {
    fn from(items: Vec<Item>) -> Self {
        Self::Items(items)
    }
}

// === impl Decision ===

impl Decision {
    /// The tool may be called.
    pub fn approved() -> Self {
        Self::new(true)
    }

    /// It may not.
    pub fn denied() -> Self {
        Self::new(false)
    }

    fn new(approved: bool) -> Self {
        Self {
            approved,
            note: None,
            actor_id: None,
        }
    }

    /// Why, for whoever watches the run.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Who decided, for whoever watches the run.
    pub fn with_actor(mut self, actor_id: impl Into<String>) -> Self {
        self.actor_id = Some(actor_id.into());
        self
    }
}

impl From<Decision> for runtime::Decision {
    fn from(decision: Decision) -> Self {
        let Decision {
            approved,
            note,
            actor_id,
        } = decision;
        Self {
            approved,
            note,
            actor_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(options: RunOptions) -> Option<String> {
        let error = options.checked().err()?;
        assert_eq!(error.code(), Some("VALIDATION_FAILED"));
        Some(error.issues()[0].path.clone())
    }

    #[test]
    fn an_input_is_what_a_client_would_send() {
        let cases: [(RunInput, Value); 4] = [
            ("hi".into(), json!("hi")),
            (String::from("hi").into(), json!("hi")),
            (Item::user("hi").into(), json!([Item::user("hi")])),
            (vec![].into(), json!([])),
        ];
        for (input, expected) in cases {
            let (request, _) = RunOptions::new(input).checked().unwrap();
            assert_eq!(request.input, expected);
        }
    }

    #[test]
    fn what_a_body_may_not_say_is_refused_here_too() {
        let options = || RunOptions::new("hi");
        let cases = [
            (options(), None),
            (options().with_max_steps(1), None),
            (options().with_max_steps(0), Some("/maxSteps")),
            (options().with_conversation(" "), Some("/conversationId")),
            (
                options().with_tool_approval_timeout(Duration::ZERO),
                Some("/advanced"),
            ),
            (options().with_output_name("n"), Some("/output/schema")),
            (
                options()
                    .with_output_name("n")
                    .with_output_schema(Map::new()),
                None,
            ),
            (
                options().with_modalities(Vec::<String>::new()),
                Some("/modalities"),
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(refused(options).as_deref(), expected);
        }
    }
}

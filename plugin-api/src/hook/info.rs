//! Which stages a hook has, and what becomes of its failures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name and the stages of a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HookInfo {
    /// The name in logs and errors.
    pub name: String,
    /// The stages it has.
    pub stages: Vec<Stage>,
    /// For [`Stage::Event`]: the wanted types, such as `TEXT_MESSAGE_CONTENT`;
    /// empty means all.
    #[serde(default)]
    pub events: Vec<String>,
    /// For [`Stage::Observe`]: what it wants to be told of: event types, phases such as
    /// `model.before`, and `request`; empty means everything.
    #[serde(default)]
    pub observes: Vec<String>,
    /// Whether its guard authenticates: it may answer `Authenticated` or `NoCredentials`.
    #[serde(default)]
    pub authenticates: bool,
    /// For a guard that authenticates: the headers that hold its credential; empty means that it
    /// may be anywhere.
    #[serde(default)]
    pub credentials: Vec<String>,
    /// Whether its guard answers at once, through [`Hook::guard_now`](crate::Hook::guard_now).
    #[serde(default)]
    pub at_once: bool,
    /// What the host does when the hook itself fails.
    pub on_error: OnError,
}

/// Where a hook is called, in the order of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// May this request go on?
    Guard,
    /// A run is about to begin.
    BeforeRun,
    /// A step is about to begin.
    Step,
    /// The model is about to be asked.
    BeforeModel,
    /// The model has answered.
    AfterModel,
    /// A tool is about to be called.
    BeforeTool,
    /// A tool call is over.
    AfterTool,
    /// A tool call failed.
    ToolError,
    /// The structured output is invalid.
    OutputError,
    /// A step is over.
    StepEnd,
    /// An event is about to be appended and shown.
    Event,
    /// A run went well.
    AfterRun,
    /// A conversation is about to be stored.
    BeforeSave,
    /// A response is about to be sent.
    Response,
    /// A response was sent.
    Completed,
    /// Something happened; nobody waits.
    Observe,
    /// A job ended, or an attempt began; nobody waits.
    OnJob,
}

/// What the host does when a hook itself fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The request or run fails with a masked `INTERNAL`: for guards and guardrails.
    Deny,
    /// It goes on as if the hook had changed nothing: for observers and helpers.
    Skip,
}

// === impl HookInfo ===

impl HookInfo {
    /// A hook without stages. It is skipped when it fails, until it guards or says otherwise.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            stages: Vec::new(),
            events: Vec::new(),
            observes: Vec::new(),
            authenticates: false,
            credentials: Vec::new(),
            at_once: false,
            on_error: OnError::Skip,
        }
    }

    /// Adds a stage. A guard denies when it fails, unless [`on_error`](Self::on_error) is called
    /// after this.
    #[must_use]
    pub fn on(mut self, stage: Stage) -> Self {
        if stage == Stage::Guard {
            self.on_error = OnError::Deny;
        }
        self.stages.push(stage);
        self
    }

    /// Its guard answers at once, through [`Hook::guard_now`](crate::Hook::guard_now).
    #[must_use]
    pub fn answers_at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Its guard tells who is asking.
    #[must_use]
    pub fn authenticates(mut self) -> Self {
        self.authenticates = true;
        self
    }

    /// Its guard tells who is asking, by a credential in one of these headers.
    ///
    /// With `[server] auth = "any"` it is asked only of requests that have one of them, and a
    /// credential that is sent twice is refused before it is asked. A guard that names none is
    /// asked of every request.
    #[must_use]
    pub fn authenticates_by(mut self, headers: &[&str]) -> Self {
        self.credentials
            .extend(headers.iter().map(|name| name.to_ascii_lowercase()));
        self.authenticates()
    }

    /// Wants only events of these types.
    #[must_use]
    pub fn events(mut self, kinds: &[&str]) -> Self {
        self.events
            .extend(kinds.iter().map(|&kind| kind.to_owned()));
        self
    }

    /// Wants to be told of these only: event types, phases such as `model.before`, and `request`.
    /// What nobody wants costs nothing.
    #[must_use]
    pub fn observes(mut self, what: &[&str]) -> Self {
        self.observes
            .extend(what.iter().map(|&what| what.to_owned()));
        self
    }

    /// What the host does when the hook itself fails.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }
}

// === impl Stage ===

impl Stage {
    /// The name in configuration, logs and on the boundary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::BeforeRun => "before_run",
            Self::Step => "step",
            Self::BeforeModel => "before_model",
            Self::AfterModel => "after_model",
            Self::BeforeTool => "before_tool",
            Self::AfterTool => "after_tool",
            Self::ToolError => "tool_error",
            Self::OutputError => "output_error",
            Self::StepEnd => "step_end",
            Self::Event => "event",
            Self::AfterRun => "after_run",
            Self::BeforeSave => "before_save",
            Self::Response => "response",
            Self::Completed => "completed",
            Self::Observe => "observe",
            Self::OnJob => "on_job",
        }
    }
}

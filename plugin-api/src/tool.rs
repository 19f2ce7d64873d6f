//! Tools: what agents may call.

use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::endpoint::fitting;
use crate::error::{Error, Result};
use crate::event::ToolTarget;
use crate::run::RunContext;
use crate::time::millis;

/// A tool that runs on the server.
///
/// The host validates the arguments against the schema, waits for an approval where one is
/// needed, and turns an `Err` into an error result that the model reads.
///
/// ```
/// use mortise_plugin_api::prelude::*;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Addends {
///     a: f64,
///     b: f64,
/// }
///
/// struct Add;
///
/// impl Tool for Add {
///     fn info(&self) -> ToolInfo {
///         ToolInfo::new::<Addends>("add", "Adds two numbers")
///     }
///
///     async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
///         let Addends { a, b } = read_arguments(arguments)?;
///         Ok(json!({ "sum": a + b }))
///     }
/// }
/// ```
pub trait Tool: Send + Sync + 'static {
    /// Name, description, schema and rules; asked once, at load.
    fn info(&self) -> ToolInfo;

    /// Decides on this very call whether somebody must approve it.
    ///
    /// Asked only of tools whose info says [`ToolInfo::with_approval_per_call`]. What the answer
    /// leaves out holds as the info says it.
    fn approval(
        &self,
        run: RunContext,
        arguments: Value,
    ) -> impl Future<Output = Result<ApprovalDecision>> + Send {
        let _ = (run, arguments);
        async { Ok(ApprovalDecision::default()) }
    }

    /// Does the work. Dropped when the run is cancelled and the grace period is over.
    fn call(&self, run: RunContext, arguments: Value)
    -> impl Future<Output = Result<Value>> + Send;
}

/// The arguments of a call as a `T`.
///
/// The host has checked them against the tool's schema, which may allow more than the type holds: `2.0`
/// is an integer to JSON Schema and no `u64`. What `serde_json::from_value` says would be an internal
/// error, of which the model reads nothing.
///
/// # Errors
/// `VALIDATION_FAILED` with the place and the reason, so that the model can call again.
pub fn read_arguments<T: DeserializeOwned>(arguments: Value) -> Result<T> {
    fitting(arguments, |wrong| {
        Error::invalid(format!("The arguments do not fit: {wrong}"))
    })
}

/// Name, description, schema and rules of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolInfo {
    /// The name by which models call it.
    pub name: String,
    /// What the configuration calls it within its instance, where that is not the name:
    /// `docs.search` is `instance.docs.search` there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it does, for the model.
    #[serde(default)]
    pub description: String,
    /// The JSON Schema of its arguments.
    pub schema: Value,
    /// Who runs it.
    #[serde(default)]
    pub target: ToolTarget,
    /// When its calls must be approved.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// What becomes of its errors; the agent's setting where this is absent.
    #[serde(default)]
    pub error_mode: Option<ToolErrorMode>,
    /// How long a client may take for the result of a client tool, in milliseconds.
    #[serde(default)]
    pub result_timeout_ms: Option<u64>,
    /// Whether it may be run again after a crash.
    #[serde(default)]
    pub idempotent: bool,
}

/// When calls of a tool must be approved.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Approval {
    /// Whether each call must be approved.
    pub required: bool,
    /// Whether [`Tool::approval`] decides on each call.
    pub per_call: bool,
    /// How long to wait for a decision, in milliseconds; the agent's setting where absent.
    pub timeout_ms: Option<u64>,
    /// What approvers are shown about the risk.
    pub meta: Option<Value>,
    /// Whether the owner of the run must not decide: four eyes.
    pub excludes_owner: bool,
    /// The scope that lets others of the owner's tenant decide; `runs:approve` where absent.
    pub scope: Option<String>,
}

/// The answer of [`Tool::approval`]; what is absent holds as the tool's info says it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ApprovalDecision {
    /// Whether this call must be approved.
    pub required: Option<bool>,
    /// How long to wait for a decision, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What approvers are shown about the risk.
    pub meta: Option<Value>,
}

/// What becomes of a tool's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolErrorMode {
    /// The model reads it as the result of its call and goes on.
    #[default]
    ToolError,
    /// The run fails.
    Throw,
}

// === impl ToolInfo ===

impl ToolInfo {
    /// A server tool whose arguments are an `Arguments`.
    pub fn new<Arguments: JsonSchema>(
        name: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self::of_schema(name, description, crate::plugin::schema_of::<Arguments>())
    }

    /// A server tool that takes no arguments, and refuses any.
    pub fn without_arguments(name: impl Into<String>, description: impl Into<String>) -> Self {
        let schema = json!({ "type": "object", "properties": {}, "additionalProperties": false });
        Self::of_schema(name, description, schema)
    }

    /// A server tool with a JSON Schema of its own.
    pub fn of_schema(
        name: impl Into<String>,
        description: impl Into<String>,
        schema: Value,
    ) -> Self {
        Self {
            name: name.into(),
            path: None,
            description: description.into(),
            schema,
            target: ToolTarget::Server,
            approval: None,
            error_mode: None,
            result_timeout_ms: None,
            idempotent: false,
        }
    }

    /// Makes it a client tool: it has no body here, the client that watches the run answers.
    /// Register it with [`Registrar::client_tool`](crate::Registrar::client_tool).
    #[must_use]
    pub fn on_client(mut self) -> Self {
        self.target = ToolTarget::Client;
        self
    }

    /// What the configuration calls it within its instance: `docs.search` for the tool `search` of
    /// the group `docs`, so that `instance.docs.*` means the whole group.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Each call must be approved.
    #[must_use]
    pub fn with_approval(mut self) -> Self {
        self.approval.get_or_insert_default().required = true;
        self
    }

    /// [`Tool::approval`] decides on each call.
    #[must_use]
    pub fn with_approval_per_call(mut self) -> Self {
        self.approval.get_or_insert_default().per_call = true;
        self
    }

    /// How long to wait for a decision.
    #[must_use]
    pub fn with_approval_timeout(mut self, timeout: Duration) -> Self {
        self.approval.get_or_insert_default().timeout_ms = Some(millis(timeout));
        self
    }

    /// What approvers are shown about the risk.
    #[must_use]
    pub fn with_approval_meta(mut self, meta: Value) -> Self {
        self.approval.get_or_insert_default().meta = Some(meta);
        self
    }

    /// What becomes of its errors.
    #[must_use]
    pub fn with_error_mode(mut self, mode: ToolErrorMode) -> Self {
        self.error_mode = Some(mode);
        self
    }

    /// How long a client may take for the result.
    #[must_use]
    pub fn with_result_timeout(mut self, timeout: Duration) -> Self {
        self.result_timeout_ms = Some(millis(timeout));
        self
    }

    /// It may be run again after a crash.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

// === impl ApprovalDecision ===

impl ApprovalDecision {
    /// Whether this call must be approved.
    pub fn required(required: bool) -> Self {
        Self {
            required: Some(required),
            ..Self::default()
        }
    }

    /// What approvers are shown about the risk.
    #[must_use]
    pub fn with_meta(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }

    /// How long to wait for a decision.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(millis(timeout));
        self
    }
}

//! The face of the runtime.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mortise_plugin_api::{Error, Item, Principal, RunResult, ToolErrorMode, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::store::EventBatch;

/// A run that somebody asks for; the shape of the body was checked already.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunRequest {
    /// A text, a list of items, or one item. Not stored: a run goes on after a crash with what hooks
    /// have left of it, which is in its checkpoint.
    #[serde(skip_serializing)]
    pub(crate) input: Value,
    /// `None` where it was not sent; `null` is a context.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "sent")]
    pub(crate) context: Option<Value>,
    pub(crate) output: Option<OutputRequest>,
    pub(crate) modalities: Option<Vec<String>>,
    pub(crate) model_options: Option<Map<String, Value>>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) omit_unsupported_parts: Option<bool>,
    pub(crate) replace_history: bool,
    pub(crate) max_steps: Option<u32>,
    pub(crate) client_tool_result_timeout: Option<Duration>,
    pub(crate) tool_approval_timeout: Option<Duration>,
    /// What becomes of a call of a tool that the agent does not have; `None`: the run fails.
    pub(crate) unknown_tool_mode: Option<ToolErrorMode>,
    /// The id that an idempotency key stands for: the answer is kept for whoever repeats the
    /// request.
    #[serde(skip)]
    pub(crate) claimed_id: Option<Arc<str>>,
}

/// The structured output that a request asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OutputRequest {
    pub(crate) schema: Value,
    pub(crate) name: Option<String>,
    pub(crate) strict: Option<bool>,
}

/// Who asks, and in which request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    pub(crate) request_id: Arc<str>,
}

/// What a reader of a run gets next.
#[derive(Debug)]
pub(crate) enum ReadOutcome {
    /// Events that are ready, at least one.
    Events(Vec<EventBatch>),
    /// The reader is cut, as it was too slow or the store cannot be read; it may resume after this
    /// number.
    Lagged { last: Option<u64> },
    /// The run has ended. A live reader of a failed or aborted run gets the message of the
    /// final `event: error` frame; a resumed reader gets `None`.
    End { failure: Option<String> },
}

/// The answer to "resume this stream".
pub(crate) enum Resume {
    /// There is no stream store: 204.
    NoStore,
    /// There is a store and no such run, or it is somebody else's: an empty stream.
    Unknown,
    /// The log after the cursor, then live.
    Reader(super::Reader),
}

/// A streamed run: its id and its live reader.
pub(crate) struct Streamed {
    pub(crate) run_id: Arc<str>,
    pub(crate) reader: super::Reader,
    pub(crate) usage: RunUsage,
}

/// What a run cost, once it has ended well.
pub(crate) type RunUsage = Arc<OnceLock<Usage>>;

/// A run that answers with JSON, while somebody waits for it.
pub(crate) struct Awaited {
    /// Dropped before the answer, it aborts the run, which may still end in order in its own task.
    pub(super) gone: DropGuard,
    pub(super) answer: oneshot::Receiver<RunOutcome<RunResult>>,
}

/// A streamed run of code of this process.
pub(crate) struct Watched {
    pub(crate) run_id: Arc<str>,
    pub(crate) reader: super::Reader,
    /// To be cancelled when nobody watches any more; `None` where the run goes on then.
    pub(crate) gone: Option<CancellationToken>,
    /// What the run comes to.
    pub(crate) result: oneshot::Receiver<RunOutcome<RunResult>>,
}

// === impl Awaited ===

impl Awaited {
    /// Waits for what the run comes to.
    pub(crate) async fn answer(self) -> RunOutcome<RunResult> {
        let Self { gone, answer } = self;
        let result = answer.await;
        gone.disarm();
        result.unwrap_or_else(|_| Err(Error::internal("the run's task was lost")))
    }
}

/// How an agent looks from outside.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentSummary {
    pub(crate) name: String,
    pub(crate) description: String,
    /// `declared` or `coded`.
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    pub(crate) tools: Vec<ToolSummary>,
    /// The agents that it may hand tasks to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) agents: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_steps: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context_schema: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_schema: Option<Value>,
}

/// How a tool looks from outside.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolSummary {
    pub(crate) name: String,
    pub(crate) description: String,
    /// `server` or `client`.
    pub(crate) target: &'static str,
    pub(crate) approval: bool,
    pub(crate) schema: Value,
}

/// A stored conversation.
pub(crate) type Conversation = Option<Vec<Item>>;

/// The result of everything that may fail in a run.
pub(crate) type RunOutcome<T> = Result<T, Error>;

/// What is there was sent, `null` too.
fn sent<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

//! Models: what declared agents think with.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::message::{FinishReason, Item, Usage, Visibility};
use crate::run::RunContext;

/// A model of a provider, or anything that answers like one.
///
/// The host pulls the chunks: nothing is computed ahead of a reader, and dropping the stream
/// cancels the call. The host drops it at once when the run is aborted.
///
/// ```
/// use mortise_plugin_api::prelude::*;
///
/// struct Parrot;
///
/// impl Model for Parrot {
///     fn info(&self) -> ModelInfo {
///         ModelInfo::new("parrot-1")
///     }
///
///     async fn generate(&self, _run: RunContext, request: ModelRequest) -> Result<ChunkStream> {
///         let heard = request.prompt();
///         Ok(ChunkStream::from_chunks([Chunk::text(heard), Chunk::finish(FinishReason::Stop)]))
///     }
/// }
/// ```
pub trait Model: Send + Sync + 'static {
    /// What the model is and can do; asked once, at load.
    fn info(&self) -> ModelInfo;

    /// Answers a request.
    ///
    /// `Err` fails the step; [`Error::upstream`](crate::Error::upstream) tells the client that
    /// the provider failed and that another try may help.
    fn generate(
        &self,
        run: RunContext,
        request: ModelRequest,
    ) -> impl Future<Output = Result<ChunkStream>> + Send;
}

/// What a model is and can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ModelInfo {
    /// The name after the `/` in `model = "instance/name"`. `*` stands for any characters, for
    /// models that are too many to be listed: `"*"`, or `"maker/*"`. [`ModelRequest::model`] tells
    /// which is meant.
    pub name: String,
    /// What it can do.
    #[serde(default)]
    pub capabilities: ModelCapabilities,
}

/// What a model can do. Requests that need more are refused before the model is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ModelCapabilities {
    /// Kinds of input parts beside text: `image`, `audio`, `video`, `file`.
    pub input: Vec<String>,
    /// Kinds of output beside text.
    pub output: Vec<String>,
    /// Whether it takes instructions.
    pub instructions: bool,
    /// Whether it can call tools.
    pub tools: bool,
    /// Whether it can be held to a JSON Schema.
    pub structured_output: bool,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ModelRequest {
    /// The name that the model is asked by: what stands after the `/` in `model = "instance/name"`.
    pub model: String,
    /// The conversation; instructions come first, as a message of the role `system`.
    pub input: Vec<Item>,
    /// The tools that may be called.
    pub tools: Vec<ToolSpec>,
    /// Whether and which tools must be called.
    pub tool_choice: ToolChoice,
    /// The schema the answer must fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<StructuredOutput>,
    /// The kinds of output that are wanted; empty means text.
    pub modalities: Vec<String>,
    /// Generation options, passed on as they are.
    pub options: Map<String, Value>,
    /// Whether somebody watches the answer grow.
    pub stream: bool,
}

/// A tool as a model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolSpec {
    /// The name.
    pub name: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The JSON Schema of its arguments.
    pub schema: Value,
}

/// Whether and which tools must be called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No tool may be called.
    None,
    /// Some tool must be called.
    Required,
    /// This tool must be called.
    Tool {
        /// Its name.
        name: String,
    },
}

/// The schema an answer must fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StructuredOutput {
    /// What the value is called.
    pub name: String,
    /// Its JSON Schema.
    pub schema: Value,
    /// Whether the provider should enforce it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// A piece of a model's answer, in the order in which it was made.
///
/// A text or a reasoning begins with its first delta and ends with the next chunk of another
/// kind; tool calls have a start, pieces of arguments, and an end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Chunk {
    /// The provider's own id of the message; without it the host makes one.
    MessageId {
        /// The id.
        id: String,
    },
    /// More text.
    Text {
        /// The next piece.
        delta: String,
    },
    /// More reasoning.
    Reasoning {
        /// The next piece.
        delta: String,
        /// How much of it is shown.
        visibility: Visibility,
    },
    /// What the provider needs to see again with the reasoning before it, such as a signature.
    ReasoningProvider {
        /// The provider's value.
        provider: Value,
    },
    /// A tool call begins.
    ToolCallStart {
        /// The provider's id of the call.
        call_id: String,
        /// The tool's name.
        name: String,
    },
    /// More of a call's arguments.
    ToolCallArguments {
        /// The call.
        call_id: String,
        /// The next piece of the arguments text.
        delta: String,
    },
    /// A call is complete.
    ToolCallEnd {
        /// The call.
        call_id: String,
    },
    /// Part of the answer that is neither text nor a call; kept as it is.
    Part {
        /// A content part with a `type`.
        part: Value,
    },
    /// What the call cost so far; the last one counts.
    Usage {
        /// In tokens.
        usage: Usage,
    },
    /// The answer is complete. A stream that ends without it was cut.
    Finish {
        /// Why.
        reason: FinishReason,
    },
}

/// The chunks of one answer.
pub struct ChunkStream {
    inner: Pin<Box<dyn Stream<Item = Result<Chunk>> + Send>>,
}

// === impl ModelInfo ===

impl ModelInfo {
    /// A model that takes text and instructions, calls tools, and can be held to a schema.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            capabilities: ModelCapabilities::default(),
        }
    }

    /// The same model with other capabilities.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: ModelCapabilities) -> Self {
        self.capabilities = capabilities;
        self
    }
}

// === impl ModelCapabilities ===

impl Default for ModelCapabilities {
    fn default() -> Self {
        Self {
            input: Vec::new(),
            output: Vec::new(),
            instructions: true,
            tools: true,
            structured_output: true,
        }
    }
}

impl ModelCapabilities {
    /// Takes parts of this kind as input: `image`, `audio`, `video`, `file`.
    #[must_use]
    pub fn with_input(mut self, kind: impl Into<String>) -> Self {
        self.input.push(kind.into());
        self
    }

    /// Cannot call tools.
    #[must_use]
    pub fn without_tools(mut self) -> Self {
        self.tools = false;
        self
    }

    /// Takes no instructions.
    #[must_use]
    pub fn without_instructions(mut self) -> Self {
        self.instructions = false;
        self
    }

    /// Cannot be held to a schema.
    #[must_use]
    pub fn without_structured_output(mut self) -> Self {
        self.structured_output = false;
        self
    }
}

// === impl ModelRequest ===

impl ModelRequest {
    /// A request with this conversation.
    pub fn new(input: Vec<Item>) -> Self {
        Self {
            input,
            ..Self::default()
        }
    }

    /// The text of the last message of the user, empty where there is none.
    pub fn prompt(&self) -> String {
        self.input
            .iter()
            .rev()
            .find(|item| item.is_message_of("user"))
            .map(Item::text)
            .unwrap_or_default()
    }
}

// === impl Chunk ===

impl Chunk {
    /// A piece of text.
    pub fn text(delta: impl Into<String>) -> Self {
        Self::Text {
            delta: delta.into(),
        }
    }

    /// A piece of reasoning, shown as a summary.
    pub fn reasoning(delta: impl Into<String>) -> Self {
        Self::Reasoning {
            delta: delta.into(),
            visibility: Visibility::Summary,
        }
    }

    /// The start of a tool call.
    pub fn tool_call_start(call_id: impl Into<String>, name: impl Into<String>) -> Self {
        Self::ToolCallStart {
            call_id: call_id.into(),
            name: name.into(),
        }
    }

    /// A piece of the arguments of a tool call.
    pub fn tool_call_arguments(call_id: impl Into<String>, delta: impl Into<String>) -> Self {
        Self::ToolCallArguments {
            call_id: call_id.into(),
            delta: delta.into(),
        }
    }

    /// The end of a tool call.
    pub fn tool_call_end(call_id: impl Into<String>) -> Self {
        Self::ToolCallEnd {
            call_id: call_id.into(),
        }
    }

    /// The end of the answer.
    pub fn finish(reason: FinishReason) -> Self {
        Self::Finish { reason }
    }
}

// === impl ChunkStream ===

impl ChunkStream {
    /// A stream of chunks.
    pub fn new(stream: impl Stream<Item = Result<Chunk>> + Send + 'static) -> Self {
        Self {
            inner: Box::pin(stream),
        }
    }

    /// Chunks that are known already.
    pub fn from_chunks<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item = Chunk>,
        I::IntoIter: Send + 'static,
    {
        Self::new(futures_util::stream::iter(chunks.into_iter().map(Ok)))
    }

    /// The next chunk, `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Chunk>> {
        std::future::poll_fn(|context| self.inner.as_mut().poll_next(context)).await
    }
}

impl Stream for ChunkStream {
    type Item = Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for ChunkStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkStream").finish_non_exhaustive()
    }
}

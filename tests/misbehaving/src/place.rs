//! The places where something can go wrong.

use mortise_plugin_api::prelude::*;

/// Where to panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// While the instance is made.
    Create,
    /// While it says what it offers.
    Register,
    /// When it begins to serve.
    Start,
    /// When its last request is over.
    Shutdown,
    /// When it is dropped.
    PluginDrop,
    /// When its tool is asked for its info.
    Info,
    /// In an async guard.
    Guard,
    /// In a guard that answers at once.
    GuardNow,
    /// In an event hook.
    Event,
    /// In an observer.
    Observe,
    /// At the beginning of a step.
    Step,
    /// At the end of a step.
    StepEnd,
    /// Before the model is asked.
    BeforeModel,
    /// After it has answered.
    AfterModel,
    /// Before a tool call.
    BeforeTool,
    /// After a tool call.
    AfterTool,
    /// When a tool call has failed.
    ToolError,
    /// Before a run begins.
    BeforeRun,
    /// After a run went well.
    AfterRun,
    /// Before a conversation is stored.
    BeforeSave,
    /// Before a response is sent.
    Response,
    /// After it was sent.
    Completed,
    /// In a tool call.
    Tool,
    /// When a value is dropped that a tool call holds: at its end or, with `hang_in = "tool"`,
    /// with its future.
    ToolDrop,
    /// In a tool call, and in a drop while that unwinds.
    ToolTwice,
    /// Before a model's first chunk.
    Model,
    /// After a model's first chunk.
    ModelStream,
    /// In a coded agent.
    Agent,
    /// In an endpoint.
    Endpoint,
    /// After the first chunk of an endpoint's response.
    EndpointStream,
    /// When the bytes of an endpoint's response are dropped.
    EndpointBytes,
    /// In a task that an endpoint has spawned.
    EndpointTask,
}

/// In which way to hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hang {
    /// Nothing ever wakes it.
    #[default]
    Wait,
    /// It wakes itself as fast as it can.
    Spin,
    /// It does not return for two seconds.
    Block,
    /// It does not return for ten minutes.
    Hold,
}

/// Where to hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// In a tool call.
    Tool,
    /// In a coded agent.
    Agent,
    /// After a model's first chunk.
    ModelStream,
    /// In a guard.
    Guard,
    /// In an endpoint.
    Endpoint,
    /// In an observer.
    Observe,
}

/// Panics when it is dropped.
#[derive(Debug)]
pub(crate) struct Bomb;

/// Panics when it is dropped, whatever else goes on.
#[derive(Debug)]
pub(crate) struct LastBomb;

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        b"tick"
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        // A second panic would end the process, and tell nothing of the first one.
        assert!(std::thread::panicking(), "misbehaving in a drop");
    }
}

impl Drop for LastBomb {
    fn drop(&mut self) {
        panic!("misbehaving once more");
    }
}

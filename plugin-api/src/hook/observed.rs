//! What an observer is told.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::event::Event;
use crate::principal::Principal;
use crate::request::RequestKind;
use crate::run::{RunContext, RunInfo};

/// What an observer is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Observation {
    /// A request was let in.
    Request(ObservedRequest),
    /// An event was appended to a run's log.
    Event {
        /// The run.
        run: RunContext,
        /// The event.
        event: Event,
    },
    /// Something in a run that is no event: `step.start`, `model.before`, `model.after`,
    /// `tool.before`, `tool.after`, `save.before`.
    Phase(ObservedPhase),
}

/// A request that was let in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObservedRequest {
    /// The request.
    pub request_id: String,
    /// What it wants of the host.
    #[serde(deserialize_with = "kind")]
    pub kind: RequestKind,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The agent it names.
    #[serde(default)]
    pub agent: Option<String>,
    /// Who asks.
    #[serde(default)]
    pub principal: Option<Principal>,
    /// The client's address.
    #[serde(default)]
    pub client_ip: Option<IpAddr>,
    /// The headers that are text; the host has redacted credentials.
    pub headers: Vec<(String, String)>,
    /// The parsed body of a native route.
    #[serde(default)]
    pub body: Option<Value>,
}

/// Something in a run that is no event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObservedPhase {
    /// Which: `step.start`, `model.before`, `model.after`, `tool.before`, `tool.after`,
    /// `save.before`.
    pub phase: String,
    /// The run.
    pub run: RunInfo,
    /// What is known, an object. By phase:
    ///
    /// | phase | keys |
    /// |---|---|
    /// | `step.start` | `stepIndex`, `maxSteps` (`null` without a limit), `messageCount` |
    /// | `model.before` | `stepIndex`, `inputCount`, `toolCount`, `toolChoice` |
    /// | `model.after` | `stepIndex`, `response`, a [`ModelResponse`](crate::ModelResponse) |
    /// | `tool.before` | `toolName`, `toolCallId`, `args` |
    /// | `tool.after` | the same, `result`, and `error`, `null` where the tool worked |
    /// | `save.before` | `itemCount` |
    pub data: Value,
}

/// One that is newer than this SDK is another route of the host.
fn kind<'de, D: Deserializer<'de>>(name: D) -> Result<RequestKind, D::Error> {
    String::deserialize(name).map(|name| RequestKind::from_name(&name))
}

// === made by hand in tests ===

impl ObservedPhase {
    /// All phases.
    pub const NAMES: &'static [&'static str] = &[
        "step.start",
        "model.before",
        "model.after",
        "tool.before",
        "tool.after",
        "save.before",
    ];

    /// Something in a run that is no event.
    pub fn new(phase: impl Into<String>, run: RunInfo, data: Value) -> Self {
        Self {
            phase: phase.into(),
            run,
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_of_a_kind_that_is_not_known_yet_can_be_read() {
        let observed = |kind: &str| {
            let json = json!({
                "requestId": "r", "kind": kind, "method": "GET", "path": "/", "headers": [],
            });
            serde_json::from_value::<ObservedRequest>(json)
                .unwrap()
                .kind
        };
        assert_eq!(observed("abort_run"), RequestKind::AbortRun);
        assert_eq!(observed("reload"), RequestKind::BuiltIn);
    }
}

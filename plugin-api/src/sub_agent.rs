//! Sub-agents: how an agent's stream tells of the agents that it has handed tasks to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::Event;

/// An event of a sub-agent, as the stream of the whole run tells it.
///
/// What a sub-agent shows comes as a `DATA_PART` with this value, and the sub-agent's run as its
/// `id`. Its tool calls and approvals do not: a client has to act on them, so they come as they
/// are, with the `runId` and `agentName` of the sub-agent.
///
/// ```
/// use mortise_plugin_api::{Event, SubAgentEvent};
///
/// fn is_own(event: &Event) -> bool {
///     SubAgentEvent::read(event).is_none()
/// }
/// # assert!(is_own(&Event::data(None, serde_json::Value::Null)));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SubAgentEvent {
    /// The sub-agent's run.
    pub run_id: String,
    /// The sub-agent.
    pub agent_name: String,
    /// The run that handed the task over.
    #[serde(default)]
    pub parent_run_id: String,
    /// The tool call that did, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// What happened.
    pub event: Event,
}

/// Says what a `DATA_PART` is about.
const KIND: &str = "sub-agent";

// === impl SubAgentEvent ===

impl SubAgentEvent {
    /// An event of this run of this agent.
    pub fn new(run_id: impl Into<String>, agent_name: impl Into<String>, event: Event) -> Self {
        Self {
            run_id: run_id.into(),
            agent_name: agent_name.into(),
            parent_run_id: String::new(),
            tool_call_id: None,
            event,
        }
    }

    /// What an event tells of a sub-agent, `None` where it is not of this kind.
    pub fn read(event: &Event) -> Option<Self> {
        match event {
            Event::DataPart { data, .. } if data.get("type")? == KIND => {
                Self::deserialize(data).ok()
            }
            _ => None,
        }
    }

    /// The event that the stream of the whole run has.
    pub fn into_event(self) -> Event {
        let timestamp = self.event.timestamp().unwrap_or_default();
        let id = Some(self.run_id.clone());
        let mut data = Map::from_iter([("type".to_owned(), KIND.into())]);
        // A plugin may have emitted what is no JSON; then the rest is told.
        if let Ok(Value::Object(told)) = serde_json::to_value(self) {
            data.extend(told);
        }
        Event::DataPart {
            id,
            data: Value::Object(data),
            timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_of_a_sub_agent_is_read_again() {
        let said = Event::TextMessageContent {
            message_id: "msg_1".into(),
            delta: "hi".into(),
            timestamp: 5,
        };
        let mut told = SubAgentEvent::new("run_2", "writer", said);
        told.parent_run_id = "run_1".into();
        told.tool_call_id = Some("call_1".into());

        let event = told.clone().into_event();

        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            json!({
                "type": "DATA_PART",
                "id": "run_2",
                "data": {
                    "type": "sub-agent",
                    "runId": "run_2",
                    "agentName": "writer",
                    "parentRunId": "run_1",
                    "toolCallId": "call_1",
                    "event": {
                        "type": "TEXT_MESSAGE_CONTENT", "messageId": "msg_1", "delta": "hi",
                        "timestamp": 5,
                    },
                },
                "timestamp": 5,
            })
        );
        assert_eq!(SubAgentEvent::read(&event), Some(told));
    }

    #[test]
    fn other_data_is_nobodys_event() {
        for data in [json!(null), json!([1]), json!({ "type": "sub-agent" })] {
            assert_eq!(SubAgentEvent::read(&Event::data(None, data)), None);
        }
    }
}

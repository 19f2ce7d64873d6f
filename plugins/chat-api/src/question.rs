//! Questions to the user: the tool that asks, and which question a run waits with.

use std::time::Duration;

use mortise_plugin_api::Transcript;
use mortise_plugin_api::prelude::*;

/// The tool, as models call it.
pub(crate) const ASK: &str = "AskUserQuestion";

/// A question that the run waits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) call_id: String,
    pub(crate) text: String,
}

/// The tool: the user's next message is its result.
pub(crate) fn tool(timeout: Duration) -> ToolInfo {
    let schema = json!({
        "type": "object",
        "properties": { "question": { "type": "string", "description": "What to ask" } },
        "required": ["question"],
    });
    let purpose = "Asks the user a question and waits for the answer";
    let tool = ToolInfo::of_schema(ASK, purpose, schema).on_client();
    tool.with_result_timeout(timeout)
}

/// What a call asks, if it asks anything.
pub(crate) fn asked(arguments: &str) -> Option<String> {
    let arguments: Value = serde_json::from_str(arguments).ok()?;
    arguments["question"].as_str().map(str::to_owned)
}

/// The question that a run cannot go on without.
pub(crate) fn question(told: &Transcript) -> Option<Question> {
    let mut calls = told.waiting_for_client().filter(|call| call.name == ASK);
    calls.find_map(|call| {
        Some(Question {
            call_id: call.id.clone(),
            text: asked(&call.arguments)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::{ToolCallRef, ToolTarget};

    use super::*;

    fn call(id: &str, name: &str) -> ToolCallRef {
        ToolCallRef {
            parent_message_id: "m".into(),
            tool_call_id: id.into(),
            tool_call_name: name.into(),
            run_id: "r".into(),
            agent_name: "a".into(),
            tool_target: Some(if name == ASK {
                ToolTarget::Client
            } else {
                ToolTarget::Server
            }),
        }
    }

    fn made(id: &str, name: &str, arguments: &str) -> [Event; 3] {
        let call = || call(id, name);
        [
            Event::ToolCallStart {
                call: call(),
                timestamp: 1,
            },
            Event::ToolCallArgs {
                call: call(),
                delta: arguments.into(),
                timestamp: 1,
            },
            Event::ToolCallEnd {
                call: call(),
                timestamp: 1,
            },
        ]
    }

    fn after(events: impl IntoIterator<Item = Event>) -> Transcript {
        let mut told = Transcript::default();
        events.into_iter().for_each(|event| told.add(&event));
        told
    }

    #[test]
    fn a_question_waits_until_it_is_answered() {
        let mut told = after(made("1", ASK, r#"{"question":"Why?"}"#));
        let asked = question(&told).unwrap();
        assert_eq!((asked.call_id.as_str(), asked.text.as_str()), ("1", "Why?"));
        told.answered("1", &Value::Null);
        assert_eq!(question(&told), None);
    }

    #[test]
    fn a_question_behind_another_call_waits_its_turn() {
        let ask = made("2", ASK, r#"{"question":"Why?"}"#);
        let mut told = after(made("1", "Read", "{}").into_iter().chain(ask));
        assert_eq!(question(&told), None);
        told.answered("1", &Value::Null);
        assert_eq!(question(&told).unwrap().call_id, "2");
    }

    #[test]
    fn what_is_not_complete_or_asks_nothing_is_no_question() {
        let [start, arguments, _] = made("1", ASK, r#"{"question":"Why?"}"#);
        assert_eq!(question(&after([start, arguments])), None);
        assert_eq!(question(&after(made("1", ASK, "{}"))), None);
        assert_eq!(
            question(&after(made("1", "Read", r#"{"question":"Why?"}"#))),
            None
        );
    }
}

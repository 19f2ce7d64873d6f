//! Questions to the user: the tool that asks, and which question a run waits with.

use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ToolCallRef, ToolTarget};

/// The tool, as models call it.
pub(crate) const ASK: &str = "AskUserQuestion";

/// A question that the run waits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) call_id: String,
    pub(crate) text: String,
}

/// The calls of a run, as its events show them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Vec<Call>);

#[derive(Debug, Clone)]
struct Call {
    id: String,
    /// The answer of the model that made it: its calls are done one after the other.
    message: String,
    /// Whether it is a call of the tool that asks.
    asks: bool,
    arguments: String,
    is_complete: bool,
    is_over: bool,
}

/// The tool: the user's next message is its result.
pub(crate) fn tool(timeout: Duration) -> ToolInfo {
    let schema = json!({
        "type": "object",
        "properties": { "question": { "type": "string", "description": "What to ask" } },
        "required": ["question"],
    });
    ToolInfo::with_schema(
        ASK,
        "Asks the user a question and waits for the answer",
        schema,
    )
    .on_client()
    .with_result_timeout(timeout)
}

/// What a call asks, if it asks anything.
pub(crate) fn asked(arguments: &str) -> Option<String> {
    let arguments: Value = serde_json::from_str(arguments).ok()?;
    arguments["question"].as_str().map(str::to_owned)
}

// === impl Calls ===

impl Calls {
    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::ToolCallStart { call, .. } => self.0.push(Call::new(call)),
            Event::ToolCallArgs { call, delta, .. } => {
                if let Some(own) = self.find(&call.tool_call_id) {
                    own.arguments.push_str(delta);
                }
            }
            Event::ToolCallEnd { call, .. } => {
                if let Some(own) = self.find(&call.tool_call_id) {
                    own.is_complete = true;
                }
            }
            Event::ToolCallResult { call, .. } => self.end(&call.tool_call_id),
            _ => {}
        }
    }

    /// The call is answered; its result may not be shown yet.
    pub(crate) fn end(&mut self, call_id: &str) {
        if let Some(own) = self.find(call_id) {
            own.is_over = true;
        }
    }

    /// The question that the run cannot go on without: all calls before it are over.
    pub(crate) fn question(&self) -> Option<Question> {
        let waits = |call: &&Call| call.asks && call.is_complete && !call.is_over;
        self.0.iter().filter(waits).find_map(|call| {
            let before = self.0.iter().take_while(|other| other.id != call.id);
            let mut of_message = before.filter(|other| other.message == call.message);
            if !of_message.all(|other| other.is_over) {
                return None;
            }
            Some(Question {
                call_id: call.id.clone(),
                text: asked(&call.arguments)?,
            })
        })
    }

    fn find(&mut self, id: &str) -> Option<&mut Call> {
        self.0.iter_mut().find(|call| call.id == id)
    }
}

// === impl Call ===

impl Call {
    fn new(call: &ToolCallRef) -> Self {
        Self {
            id: call.tool_call_id.clone(),
            message: call.parent_message_id.clone(),
            asks: call.tool_call_name == ASK && call.tool_target == Some(ToolTarget::Client),
            arguments: String::new(),
            is_complete: false,
            is_over: false,
        }
    }
}

#[cfg(test)]
mod tests {
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

    fn after(events: impl IntoIterator<Item = Event>) -> Calls {
        let mut calls = Calls::default();
        events.into_iter().for_each(|event| calls.take(&event));
        calls
    }

    #[test]
    fn a_question_waits_until_it_is_answered() {
        let mut calls = after(made("1", ASK, r#"{"question":"Why?"}"#));
        let question = calls.question().unwrap();
        assert_eq!(
            (question.call_id.as_str(), question.text.as_str()),
            ("1", "Why?")
        );
        calls.end("1");
        assert_eq!(calls.question(), None);
    }

    #[test]
    fn a_question_behind_another_call_waits_its_turn() {
        let ask = made("2", ASK, r#"{"question":"Why?"}"#);
        let mut calls = after(made("1", "Read", "{}").into_iter().chain(ask));
        assert_eq!(calls.question(), None);
        calls.end("1");
        assert_eq!(calls.question().unwrap().call_id, "2");
    }

    #[test]
    fn what_is_not_complete_or_asks_nothing_is_no_question() {
        let [start, arguments, _] = made("1", ASK, r#"{"question":"Why?"}"#);
        assert_eq!(after([start, arguments]).question(), None);
        assert_eq!(after(made("1", ASK, "{}")).question(), None);
        assert_eq!(
            after(made("1", "Read", r#"{"question":"Why?"}"#)).question(),
            None
        );
    }
}

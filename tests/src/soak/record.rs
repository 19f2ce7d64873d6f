//! What a client has read of a run, and what follows from it.

use std::collections::HashMap;

use serde_json::Value;

use crate::Frame;

/// The events of a run that were read, from the first on.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) run_id: String,
    pub(super) events: Vec<Value>,
    /// How many servers showed it.
    pub(super) server_count: usize,
    /// What the client said of each call that asked for it.
    pub(super) answers: HashMap<Ask, Answers>,
}

/// Something that a run asks of its client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    /// The id of a call that must be approved.
    Approval(String),
    /// The id of a call that the client runs.
    Result(String),
}

/// What was said to one ask: each attempt says something else.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The generation of the last attempt.
    pub(super) asked_in: usize,
    /// Attempts whose answer was lost with the server.
    pub(super) unsure: Vec<String>,
    /// The attempt that was taken.
    pub(super) taken: Option<String>,
    /// An attempt was refused although none could have been taken before.
    pub(super) was_refused: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Interrupted,
    Other,
}

// === impl Record ===

impl Record {
    pub(super) fn new(run_id: impl Into<String>) -> Self {
        Self {
            run_id: run_id.into(),
            events: Vec::new(),
            server_count: 0,
            answers: HashMap::new(),
        }
    }

    /// Takes the next frame of a reader; `next` is the number that it must have.
    ///
    /// Whether the event is new; an error where it is not the one that was read before.
    pub(super) fn take(&mut self, frame: &Frame, next: &mut usize) -> Result<bool, String> {
        let run_id = &self.run_id;
        let number = frame.id.as_deref().and_then(|id| id.parse().ok());
        if number != Some(*next) {
            return Err(format!("{run_id}: {:?} instead of {next}", frame.id));
        }
        let event = self.event(frame, *next)?;
        *next += 1;
        match self.events.get(*next - 1) {
            None => {
                self.events.push(event);
                Ok(true)
            }
            Some(read) if *read == event => Ok(false),
            Some(read) => Err(format!("{run_id}: was {read}, is {event}")),
        }
    }

    /// The event without what a live and a resumed stream add, which is checked.
    fn event(&self, frame: &Frame, number: usize) -> Result<Value, String> {
        let run_id = &self.run_id;
        let parsed = serde_json::from_str(&frame.data);
        let mut event: Value = parsed.map_err(|error| format!("{run_id}: {error}"))?;
        let members = event.as_object_mut();
        let members = members.ok_or_else(|| format!("{run_id}: no event: {}", frame.data))?;
        let seq = members.shift_remove("seq");
        let of = members.shift_remove("runId");
        if seq.is_some_and(|seq| seq != number) || of.is_some_and(|of| of != **run_id) {
            return Err(format!("{run_id}: {number} is {}", frame.data));
        }
        Ok(event)
    }

    /// How the run ended, if it has.
    pub(super) fn end(&self) -> Option<End> {
        let last = self.events.last()?;
        match kind(last) {
            "RUN_FINISHED" => Some(End::Finished),
            "RUN_ERROR" if last["error"]["code"] == "INTERRUPTED" => Some(End::Interrupted),
            "RUN_ERROR" | "RUN_ABORTED" => Some(End::Other),
            _ => None,
        }
    }

    /// What the run asks and nobody has seen an answer to.
    pub(super) fn open_asks(&self) -> Vec<Ask> {
        let mut open = Vec::new();
        for event in &self.events {
            let call_id = event["toolCallId"].as_str().unwrap_or_default().to_owned();
            match kind(event) {
                "TOOL_APPROVAL_UPDATED" if event["state"] == "requested" => {
                    open.push(Ask::Approval(call_id));
                }
                "TOOL_APPROVAL_UPDATED" => open.retain(|it| *it != Ask::Approval(call_id.clone())),
                "TOOL_CALL_END" if event["toolTarget"] == "client" => {
                    open.push(Ask::Result(call_id));
                }
                "TOOL_CALL_RESULT" => open.retain(|it| *it != Ask::Result(call_id.clone())),
                "RUN_FINISHED" | "RUN_ERROR" | "RUN_ABORTED" => open.clear(),
                _ => {}
            }
        }
        // A client tool that must be approved is run by nobody before.
        let awaiting: Vec<Ask> = open
            .iter()
            .filter_map(|it| match it {
                Ask::Approval(call_id) => Some(Ask::Result(call_id.clone())),
                Ask::Result(_) => None,
            })
            .collect();
        open.retain(|it| !awaiting.contains(it) && !self.is_denied(it));
        open
    }

    fn is_denied(&self, ask: &Ask) -> bool {
        let Ask::Result(call_id) = ask else {
            return false;
        };
        self.events
            .iter()
            .any(|event| event["state"] == "denied" && event["toolCallId"] == **call_id)
    }

    /// What the run has shown of an answer: the note of a decision, or the result.
    pub(super) fn shown_answer(&self, ask: &Ask) -> Option<&Value> {
        self.events.iter().find_map(|event| match ask {
            Ask::Approval(id) if event["toolCallId"] == **id && !event["note"].is_null() => {
                Some(&event["note"])
            }
            Ask::Result(id) if event["toolCallId"] == **id && kind(event) == "TOOL_CALL_RESULT" => {
                Some(&event["result"])
            }
            _ => None,
        })
    }
}

/// The type of an event.
pub(super) fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

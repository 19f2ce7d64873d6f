//! The events of a run, for whoever watches it.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::json;

use crate::error::Result;
use crate::event::Event;
use crate::host::{Host, NumberedEvent};

/// The events of a run as they come.
#[derive(Debug)]
pub struct RunEvents {
    host: Host,
    run_id: String,
    after: Option<u64>,
    ready: VecDeque<NumberedEvent>,
    longest_piece: Option<usize>,
    ended: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventBatch {
    /// The run itself, where it was asked for by an alias.
    #[serde(default)]
    run_id: Option<String>,
    events: Vec<NumberedEvent>,
    ended: bool,
}

impl Host {
    /// The events of a run after that number, then live, until it ends.
    pub fn events(&self, run_id: impl Into<String>, after: Option<u64>) -> RunEvents {
        RunEvents {
            host: self.clone(),
            run_id: run_id.into(),
            after,
            ready: VecDeque::new(),
            longest_piece: None,
            ended: false,
        }
    }
}

// === impl RunEvents ===

impl RunEvents {
    /// Texts come in pieces of at most so many bytes: what is at hand together is one piece, with
    /// the number of its last event, and a longer text is several.
    #[must_use]
    pub fn in_pieces(mut self, longest: usize) -> Self {
        self.longest_piece = Some(longest);
        self
    }

    /// The next event, `None` when the run has ended.
    pub async fn next(&mut self) -> Option<Result<NumberedEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                let event = match self.longest_piece {
                    Some(longest) => self.piece(event, longest),
                    None => event,
                };
                self.after = Some(event.seq);
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            let payload = json!({ "runId": self.run_id, "after": self.after });
            match self.host.typed::<EventBatch>("runs.events", payload).await {
                Ok(batch) => {
                    self.ended = batch.ended;
                    // The numbers are those of one run: an alias may stand for another one later.
                    if let Some(run_id) = batch.run_id {
                        self.run_id = run_id;
                    }
                    self.ready = batch.events.into();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// As much of a text as is at hand and fits; what does not is there next.
    fn piece(&mut self, mut event: NumberedEvent, longest: usize) -> NumberedEvent {
        let Some(kind) = text_of(&mut event.event).map(|(kind, _)| kind) else {
            return event;
        };
        while let Some(mut next) = self.ready.pop_front() {
            match (text_of(&mut event.event), text_of(&mut next.event)) {
                (Some((_, text)), Some((next_kind, more)))
                    if kind == next_kind && text.len() + more.len() <= longest =>
                {
                    text.push_str(more);
                    event.seq = next.seq;
                }
                _ => {
                    self.ready.push_front(next);
                    break;
                }
            }
        }
        let mut rest = event.clone();
        if let (Some((_, text)), Some((_, more))) =
            (text_of(&mut event.event), text_of(&mut rest.event))
        {
            if text.len() > longest {
                let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at));
                // A piece has a character at least, however little is wanted.
                let first = text.chars().next().map_or(0, char::len_utf8);
                let end = end.unwrap_or_default().max(first);
                *more = text.split_off(end);
                self.ready.push_front(rest);
            }
        }
        event
    }
}

/// The text that an event adds, and which kind of text it is.
fn text_of(event: &mut Event) -> Option<(bool, &mut String)> {
    match event {
        Event::TextMessageContent { delta, .. } => Some((true, delta)),
        Event::ReasoningMessageContent { delta, .. } => Some((false, delta)),
        _ => None,
    }
}

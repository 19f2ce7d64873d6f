//! The events of a run, for whoever watches it.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::json;

use crate::error::Result;
use crate::event::Event;
use crate::host::Host;
use crate::run_status::NumberedEvent;

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
                    Some(longest) => piece(event, &mut self.ready, longest),
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
}

/// As much of a text as is at hand and fits; what does not is there next.
fn piece(
    mut event: NumberedEvent,
    ready: &mut VecDeque<NumberedEvent>,
    longest: usize,
) -> NumberedEvent {
    let Some((whose, text)) = text_of(&mut event.event) else {
        return event;
    };
    while let Some(next) = ready.front_mut() {
        match text_of(&mut next.event) {
            Some((next_whose, more))
                if whose == next_whose && text.len() + more.len() <= longest =>
            {
                text.push_str(more);
                event.seq = next.seq;
            }
            _ => break,
        }
        ready.pop_front();
    }
    // From the last piece on, so that each is moved once.
    let ends = ends_of_pieces(text, longest);
    let rests: Vec<String> = ends
        .into_iter()
        .rev()
        .map(|end| text.split_off(end))
        .collect();
    for rest in rests {
        let mut next = event.clone();
        if let Some((_, text)) = text_of(&mut next.event) {
            *text = rest;
        }
        ready.push_front(next);
    }
    event
}

/// Where the pieces of a text end, but for the last one.
fn ends_of_pieces(text: &str, longest: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = 0;
    while text.len() - end > longest {
        end += end_of_piece(&text[end..], longest);
        if end < text.len() {
            ends.push(end);
        }
    }
    ends
}

/// Where a piece of a text ends: it has a character at least, however little is wanted.
fn end_of_piece(text: &str, longest: usize) -> usize {
    let fits = (0..=longest).rev().find(|at| text.is_char_boundary(*at));
    let first = text.chars().next().map_or(0, char::len_utf8);
    fits.unwrap_or_default().max(first)
}

/// Whose text an event adds to: that of a message, said or thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose<'e> {
    Said(&'e str),
    Thought(&'e str),
}

fn text_of(event: &mut Event) -> Option<(Whose<'_>, &mut String)> {
    match event {
        Event::TextMessageContent {
            message_id, delta, ..
        } => Some((Whose::Said(message_id), delta)),
        Event::ReasoningMessageContent {
            message_id, delta, ..
        } => Some((Whose::Thought(message_id), delta)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seq: u64, message_id: &str, delta: &str) -> NumberedEvent {
        let event = Event::TextMessageContent {
            message_id: message_id.into(),
            delta: delta.into(),
            timestamp: 1,
        };
        NumberedEvent { seq, event }
    }

    fn pieces(texts: &[&str], longest: usize) -> Vec<(u64, String)> {
        let numbered = (0..).zip(texts).map(|(seq, delta)| text(seq, "m", delta));
        let mut ready: VecDeque<_> = numbered.collect();
        let mut pieces = Vec::new();
        while let Some(event) = ready.pop_front() {
            let mut event = piece(event, &mut ready, longest);
            let seq = event.seq;
            let (_, text) = text_of(&mut event.event).unwrap();
            pieces.push((seq, std::mem::take(text)));
        }
        pieces
    }

    #[test]
    fn texts_at_hand_are_joined_and_long_ones_are_split() {
        let joined = |texts: &[&str], longest| {
            let pieces = pieces(texts, longest);
            assert!(pieces.iter().all(|(_, text)| text.len() <= longest.max(4)));
            let all: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(all, texts.concat());
            pieces.len()
        };
        assert_eq!(joined(&["ab", "cd", "ef"], 4), 2);
        assert_eq!(joined(&["abcdefghij"], 4), 3);
        assert_eq!(joined(&["aé😀b"], 4), 3);
        assert_eq!(joined(&["😀😀"], 1), 2);
        assert_eq!(pieces(&["a", "b", "c"], 2)[0], (1, "ab".to_owned()));
    }

    #[test]
    fn texts_of_two_messages_are_not_joined() {
        let first = text(1, "a", "ab");
        let mut ready = VecDeque::from([text(2, "b", "c"), text(3, "b", "d"), text(4, "a", "e")]);
        assert_eq!(piece(first, &mut ready, 10), text(1, "a", "ab"));
        let second = ready.pop_front().unwrap();
        assert_eq!(piece(second, &mut ready, 10), text(3, "b", "cd"));
        assert_eq!(ready, [text(4, "a", "e")]);
    }
}

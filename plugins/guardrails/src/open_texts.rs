//! Texts that are being streamed, and what is held back of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::Streams;
use crate::rule::Blocked;
use crate::scanner::Chain;

/// Which text of which run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TextId {
    pub(crate) run: String,
    pub(crate) message: String,
    /// A thought, and nothing that is said.
    pub(crate) is_reasoning: bool,
}

/// The texts that are not over.
#[derive(Debug)]
pub(crate) struct OpenTexts {
    streams: Streams,
    texts: Mutex<HashMap<TextId, OpenText>>,
}

#[derive(Debug)]
struct OpenText {
    /// `None` once it was blocked: nothing more of it is shown.
    chain: Option<Chain>,
    /// What can be shown with the next event.
    ready: String,
    /// The time of the newest piece.
    newest: u64,
}

/// What becomes of a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The first one: it is held until the text is over.
    First,
    /// This much can be shown.
    Shown(String),
}

/// The rest of a text, and the time of its newest piece.
pub(crate) type Rest = (String, u64);

/// So many texts are open only where some were lost with their runs: then those go that were
/// blocked, which nothing ends whose first piece was, and those that have not grown for an hour.
const MANY: usize = 4096;
const HOUR: u64 = 60 * 60 * 1000;

// === impl OpenTexts ===

impl OpenTexts {
    pub(crate) fn new(streams: Streams) -> Self {
        Self {
            streams,
            texts: Mutex::default(),
        }
    }

    /// A text has grown; `begin` makes the rules for a new one.
    pub(crate) fn push(
        &self,
        id: TextId,
        more: &str,
        time: u64,
        begin: impl FnOnce() -> Chain,
    ) -> Result<Piece, Blocked> {
        // Taken out while it is looked at, so that no other text waits for it: the pieces of one
        // come one after the other.
        let known = self.texts().remove(&id);
        let is_first = known.is_none();
        let mut open = known.unwrap_or_else(|| OpenText {
            chain: Some(begin()),
            ready: String::new(),
            newest: time,
        });
        open.newest = open.newest.max(time);
        let pushed = open.push(more);
        let piece = pushed.map(|()| match self.streams {
            _ if is_first => Piece::First,
            Streams::Follow => Piece::Shown(std::mem::take(&mut open.ready)),
            Streams::Whole => Piece::Shown(String::new()),
        });
        let mut texts = self.texts();
        if is_first && texts.len() >= MANY {
            texts.retain(|_, open| open.chain.is_some() && time.saturating_sub(open.newest) < HOUR);
        }
        texts.insert(id, open);
        piece
    }

    /// A text is over; `None` for one that is not known, or has nothing left.
    pub(crate) fn finish(&self, id: &TextId) -> Result<Option<Rest>, Blocked> {
        let Some(open) = self.texts().remove(id) else {
            return Ok(None);
        };
        let Some(chain) = open.chain else {
            return Ok(None);
        };
        let mut rest = open.ready;
        rest.push_str(&chain.finish()?);
        Ok((!rest.is_empty()).then_some((rest, open.newest)))
    }

    fn texts(&self) -> MutexGuard<'_, HashMap<TextId, OpenText>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl OpenText ===

impl OpenText {
    fn push(&mut self, more: &str) -> Result<(), Blocked> {
        let Some(chain) = &mut self.chain else {
            return Ok(());
        };
        match chain.push(more) {
            Ok(shown) => self.ready.push_str(&shown),
            Err(blocked) => {
                self.chain = None;
                self.ready.clear();
                return Err(blocked);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::serde_json::{self, json};

    use super::*;
    use crate::config::{RuleConfig, Side};
    use crate::rule::Rules;

    fn rules() -> Rules {
        let rule = json!({ "name": "long", "max_chars": 3, "action": "block" });
        let rule: RuleConfig = serde_json::from_value(rule).unwrap();
        Rules::new(vec![rule]).unwrap()
    }

    fn text(run: usize) -> TextId {
        TextId {
            run: run.to_string(),
            message: "m".to_owned(),
            is_reasoning: false,
        }
    }

    #[test]
    fn texts_that_were_blocked_do_not_gather() {
        let rules = rules();
        let open = OpenTexts::new(Streams::default());
        let push = |run: usize, more: &str| {
            let begin = || Chain::new(rules.of(Side::Output, "plain"), 0);
            open.push(text(run), more, 0, begin)
        };
        for run in 0..MANY {
            assert!(push(run, "too long").is_err());
        }
        let more = push(0, "and more").unwrap();
        assert_eq!(more, Piece::Shown(String::new()), "nothing of it is shown");
        assert_eq!(push(MANY, "hi").unwrap(), Piece::First);
        assert_eq!(open.texts().len(), 1);
    }

    #[test]
    fn no_text_waits_for_another_one() {
        let rules = rules();
        let begin = || Chain::new(rules.of(Side::Output, "plain"), 0);
        let open = OpenTexts::new(Streams::default());
        let first = open.push(text(1), "hi", 0, || {
            // While the first one is at hand.
            assert_eq!(open.push(text(2), "hi", 0, begin).unwrap(), Piece::First);
            begin()
        });
        assert_eq!(first.unwrap(), Piece::First);
    }
}

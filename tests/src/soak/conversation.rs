//! A conversation of one client: every turn that ended well is there, and no other.

use super::arena::{Place, Trouble};

/// Turns, after which another conversation is begun.
const TURNS: usize = 20;

/// How many items a turn leaves: what was asked, and what was said.
const ITEMS: usize = 2;

/// A conversation, and what its client knows of it.
#[derive(Debug)]
pub(super) struct Conversation {
    client: usize,
    number: usize,
    turns: usize,
    /// Nobody knows yet how the last turn has ended.
    is_unsure: bool,
}

impl Conversation {
    pub(super) fn new(client: usize) -> Self {
        Self {
            client,
            number: 0,
            turns: 0,
            is_unsure: false,
        }
    }

    pub(super) fn id(&self) -> String {
        format!("c{}-{}", self.client, self.number)
    }

    /// Until it is known how the turn ends, it is there as a whole, or not at all.
    pub(super) fn turn_begins(&mut self) {
        self.is_unsure = true;
    }

    pub(super) fn turn_ends(&mut self, well: bool) {
        self.is_unsure = false;
        self.turns += usize::from(well);
    }

    /// Looks at what is stored.
    pub(super) fn check(&mut self, place: Place) -> Result<(), Trouble> {
        let target = format!("/api/talker/conversations/{}", self.id());
        let reply = place.get(&target).try_send()?;
        let items = match reply.status() {
            204 => 0,
            200 => reply.json()["items"].as_array().map_or(0, Vec::len),
            other => return Err(format!("{}: {other} {}", self.id(), reply.text()).into()),
        };
        let most = self.turns + usize::from(std::mem::take(&mut self.is_unsure));
        if items % ITEMS != 0 || !(self.turns..=most).contains(&(items / ITEMS)) {
            let turns = self.turns;
            return Err(format!("{}: {items} items of {turns} turns", self.id()).into());
        }
        self.turns = items / ITEMS;
        if self.turns >= TURNS {
            self.number += 1;
            self.turns = 0;
        }
        Ok(())
    }
}

//! What waits for the next transaction whether the last one failed or not: that runs have begun, and
//! that they have ended where nobody waits for it. And the runs of which nothing more is stored,
//! since they lost an entry.

use std::collections::HashSet;
use std::sync::Arc;

use super::Command;
use crate::store::{Begun, Finish, StoreError};

/// Beginnings and ends that wait, and runs that lost an entry.
#[derive(Default)]
pub(super) struct Waiting {
    /// Runs that have begun and are not stored yet.
    pub(super) begun: Vec<Begun>,
    /// Those that have ended, and nobody waits for that to be stored.
    pub(super) ended: Vec<Ended>,
    /// Runs that lost an entry, until they know.
    broken: HashSet<Arc<str>>,
}

/// A run that has ended, and how.
pub(super) type Ended = (Arc<str>, Finish);

/// How many beginnings, and how many ends, wait for a database that cannot be written.
const MOST: usize = 16_384;

/// The runs that have entries among these, and no end.
pub(super) fn going_on(commands: &[Command]) -> HashSet<Arc<str>> {
    let mut runs = HashSet::new();
    for command in commands {
        match command {
            Command::Append { run_id, .. } => {
                runs.insert(Arc::clone(run_id));
            }
            Command::Finish { run_id, .. } => {
                runs.remove(run_id);
            }
            _ => {}
        }
    }
    runs
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.ended.is_empty()
    }

    /// Takes out the beginnings, and the ends that nobody waits for: whatever is stored of a run
    /// needs its beginning, and no run is under way for ever. Those whose transaction failed are
    /// stored with the next.
    pub(super) fn take(&mut self, commands: &mut Vec<Command>) {
        let waits = |it: &mut Command| matches!(it, Command::Open { .. } | Command::End { .. });
        for command in commands.extract_if(.., waits) {
            match command {
                Command::Open { run, request } => self.begun.push((run, request)),
                Command::End { run_id, finish } => self.ended.push((run_id, finish)),
                _ => {}
            }
        }
        let (begun, ended) = (self.begun.len(), self.ended.len());
        if begun > MOST || ended > MOST {
            tracing::error!(begun, ended, "more runs than can wait could not be stored");
            self.begun.truncate(MOST);
            self.ended.truncate(MOST);
        }
    }

    /// These runs lost entries, and go on.
    pub(super) fn note_broken(&mut self, runs: HashSet<Arc<str>>) {
        self.broken.extend(runs);
        self.forget_ended();
    }

    /// Refuses what a run stored before it knew that an earlier entry is lost. With its end, which
    /// fails too, it knows: what it stores then has the right numbers.
    pub(super) fn refuse_broken(&mut self, commands: &mut Vec<Command>) {
        if self.broken.is_empty() {
            return;
        }
        let error = StoreError("an earlier entry of the run could not be stored".into());
        let broken = &mut self.broken;
        let is_late = |it: &mut Command| match it {
            Command::Append { run_id, .. } => broken.contains(run_id),
            Command::Finish { run_id, .. } => broken.remove(run_id),
            _ => false,
        };
        for command in commands.extract_if(.., is_late) {
            command.refuse(&error);
        }
        self.forget_ended();
    }

    /// Of a run that has ended nothing more comes.
    fn forget_ended(&mut self) {
        for (run_id, _) in &self.ended {
            self.broken.remove(run_id);
        }
    }

    /// What was asked for may be large: these runs do not go on after a crash.
    pub(super) fn drop_requests(&mut self) {
        for (_, request) in &mut self.begun {
            *request = None;
        }
    }

    /// They are stored.
    pub(super) fn clear(&mut self) {
        self.begun.clear();
        self.ended.clear();
    }
}

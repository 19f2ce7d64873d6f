//! What the parts of one run share: a run that an agent hands to another is a part of its own.
//!
//! One budget of steps, one cancellation, ids of calls that are unique among all of them. `part.rs`
//! makes a part and does it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mortise_plugin_api::{Event, SubAgentEvent};
use tokio_util::sync::CancellationToken;

use super::active::ActiveRun;

/// Where a run stands among the parts of one.
pub(crate) struct Lineage {
    parent: Option<Parent>,
    family: Arc<Family>,
}

/// The run that another is a part of.
pub(crate) struct Parent {
    pub(crate) run: Arc<ActiveRun>,
    /// The tool call that handed the task over; none where a coded agent did.
    pub(crate) call_id: Option<String>,
}

/// What all parts of a run share.
struct Family {
    /// The steps of all of them, unless they are unlimited.
    limit: Option<u32>,
    taken: AtomicU32,
    call_ids: Mutex<HashSet<String>>,
    parts: Mutex<Vec<Weak<ActiveRun>>>,
}

// === impl Lineage ===

impl Lineage {
    /// That of a run that somebody asked for.
    pub(crate) fn root(limit: Option<u32>) -> Self {
        let family = Family {
            limit,
            taken: AtomicU32::new(0),
            call_ids: Mutex::default(),
            parts: Mutex::default(),
        };
        Self {
            parent: None,
            family: Arc::new(family),
        }
    }

    pub(crate) fn part_of(parent: Parent) -> Self {
        let family = Arc::clone(&parent.run.lineage.family);
        Self {
            parent: Some(parent),
            family,
        }
    }

    pub(crate) fn is_part(&self) -> bool {
        self.parent.is_some()
    }

    pub(crate) fn parent(&self) -> Option<&Parent> {
        self.parent.as_ref()
    }

    /// Fires with that of the run it is a part of.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        match &self.parent {
            None => CancellationToken::new(),
            Some(parent) => parent.run.cancel.child_token(),
        }
    }

    /// The others find the run from now on.
    pub(crate) fn joined(&self, run: &Arc<ActiveRun>) {
        if self.is_part() {
            let mut parts = self.lock_parts();
            parts.retain(|part| part.strong_count() > 0);
            parts.push(Arc::downgrade(run));
        }
    }

    /// The parts that are alive.
    pub(crate) fn parts(&self) -> Vec<Arc<ActiveRun>> {
        self.lock_parts().iter().filter_map(Weak::upgrade).collect()
    }

    /// The ids of the calls of all parts.
    pub(crate) fn call_ids(&self) -> MutexGuard<'_, HashSet<String>> {
        let call_ids = self.family.call_ids.lock();
        call_ids.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step of those that all parts share; whether there was one left.
    pub(crate) fn take_step(&self) -> bool {
        let limit = self.family.limit.unwrap_or(u32::MAX);
        let take = |taken: u32| (taken < limit).then(|| taken.saturating_add(1));
        let taken = &self.family.taken;
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// How many steps all parts have taken.
    pub(crate) fn taken_steps(&self) -> u32 {
        self.family.taken.load(Ordering::Relaxed)
    }

    /// So many steps were taken before a crash.
    pub(crate) fn resume_steps(&self, taken: u32) {
        self.family.taken.store(taken, Ordering::Relaxed);
    }

    fn lock_parts(&self) -> MutexGuard<'_, Vec<Weak<ActiveRun>>> {
        let parts = self.family.parts.lock();
        parts.unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event as the stream of the whole run shows it. What a client may have to act on, calls and
/// approvals, stays as it is, with the ids of the part; anything else of a part comes as data, so
/// that no client takes it for the run's own text or end.
pub(crate) fn shown<'a>(run: &ActiveRun, event: &'a Event) -> Cow<'a, Event> {
    let Some(parent) = run.lineage.parent() else {
        return Cow::Borrowed(event);
    };
    if is_of_call(event) {
        return Cow::Borrowed(event);
    }
    let mut told = SubAgentEvent::new(&*run.id, &*run.agent.name, event.clone());
    told.parent_run_id = parent.run.id.to_string();
    told.tool_call_id.clone_from(&parent.call_id);
    Cow::Owned(told.into_event())
}

fn is_of_call(event: &Event) -> bool {
    matches!(
        event,
        Event::ToolCallStart { .. }
            | Event::ToolCallArgs { .. }
            | Event::ToolCallEnd { .. }
            | Event::ToolCallResult { .. }
            | Event::ToolApprovalRequired { .. }
            | Event::ToolApprovalUpdated { .. }
    )
}

//! Jobs in memory: gone with the process.

use std::collections::{BTreeMap, VecDeque};

use mortise_plugin_api::JobState;

use super::super::{JobChange, JobFilter, LeaseRequest, Leased, StoredJob};

#[derive(Default)]
pub(super) struct Jobs {
    /// Ids begin with the time.
    by_id: BTreeMap<String, StoredJob>,
    /// Those that have ended, oldest first, with the time of their end.
    ended: VecDeque<(u64, String)>,
}

// === impl Jobs ===

impl Jobs {
    /// Whether there was room for it.
    pub(super) fn enqueue(&mut self, job: StoredJob, most: usize) -> bool {
        let queued = self.by_id.values();
        let queued = queued.filter(|it| it.job.state == JobState::Queued).count();
        if queued >= most {
            return false;
        }
        self.by_id.insert(job.job.id.clone(), job);
        true
    }

    pub(super) fn get(&self, id: &str) -> Option<StoredJob> {
        self.by_id.get(id).cloned()
    }

    pub(super) fn list(&self, filter: &JobFilter) -> Vec<StoredJob> {
        let wanted = self.by_id.values().filter(|job| filter.wants(job));
        let most = filter.limit as usize;
        if filter.is_untold {
            wanted.take(most).cloned().collect()
        } else {
            wanted.rev().take(most).cloned().collect()
        }
    }

    pub(super) fn lease(&mut self, request: &LeaseRequest) -> Leased {
        let holder = &request.lease.holder;
        let mut next_at: Option<u64> = None;
        let mut first: Option<&mut StoredJob> = None;
        for job in self.by_id.values_mut() {
            let Some(due_at) = job.due_at(holder) else {
                continue;
            };
            if request.busy.contains(&job.job.agent) {
                continue;
            }
            if due_at > request.now {
                next_at = Some(next_at.map_or(due_at, |next| next.min(due_at)));
            } else if first
                .as_ref()
                .is_none_or(|first| job.job.priority > first.job.priority)
            {
                first = Some(job);
            }
        }
        match first {
            Some(job) => {
                job.take_up(request);
                Leased::Job(Box::new(job.clone()))
            }
            None => Leased::Nothing { next_at },
        }
    }

    pub(super) fn change(&mut self, id: &str, change: JobChange) -> Option<StoredJob> {
        let job = self.by_id.get_mut(id)?;
        let had_ended = job.job.state.is_end();
        if !job.change(change) {
            return None;
        }
        if let (false, Some(ended_at)) = (had_ended, job.job.completed_at) {
            self.ended.push_back((ended_at, id.to_owned()));
        }
        Some(job.clone())
    }

    /// Forgets what has ended before that, and the oldest of more than `most`.
    pub(super) fn forget(&mut self, ended_before: u64, most: usize) {
        while let Some((ended_at, id)) = self.ended.front() {
            if self.ended.len() <= most && *ended_at >= ended_before {
                break;
            }
            self.by_id.remove(id);
            self.ended.pop_front();
        }
    }
}

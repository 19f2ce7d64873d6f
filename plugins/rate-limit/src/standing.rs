//! How a client stands, on replies that were not refused.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use mortise_plugin_api::ResponseHead;
use mortise_plugin_api::prelude::*;

use crate::answer::{LIMIT, REMAINING, RESET, seconds};
use crate::rule::Allowance;

/// What requests under way were told.
///
/// By request id, which a client may choose: who gives two requests one id reads one of the two
/// standings. A request whose client goes before it is answered leaves its entry behind, so there
/// is a bound.
pub(crate) struct Standings(Mutex<LruCache<String, Standing>>);

/// How a client stands with the rule that is nearest to refusing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    limit: u32,
    remaining: u32,
    /// In seconds since 1970; places have none.
    reset: Option<u64>,
}

/// The hook that writes the headers.
pub(crate) struct StandingHeaders(Arc<Standings>);

/// As many requests as the server has connections, with its defaults.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

// === impl Standings ===

impl Standings {
    pub(crate) fn remember(&self, request: &Request, standing: Standing) {
        self.locked().put(request.id().to_owned(), standing);
    }

    fn recall(&self, request_id: &str) -> Option<Standing> {
        self.locked().pop(request_id)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, LruCache<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Standings {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }
}

impl std::fmt::Debug for Standings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standings").finish_non_exhaustive()
    }
}

// === impl Standing ===

impl Standing {
    pub(crate) fn new(allowance: Allowance, taken: &Taken) -> Self {
        Self {
            limit: allowance.max(),
            remaining: taken.remaining,
            reset: matches!(allowance, Allowance::Rate(_)).then(|| seconds(taken.resets_at)),
        }
    }

    /// The one of which less is left.
    pub(crate) fn tighter(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.remaining <= self.remaining => other,
            _ => self,
        }
    }
}

// === impl StandingHeaders ===

impl StandingHeaders {
    pub(crate) fn new(standings: Arc<Standings>) -> Self {
        Self(standings)
    }
}

impl Hook for StandingHeaders {
    fn info(&self) -> HookInfo {
        HookInfo::new("rate-headers").on(Stage::Response)
    }

    async fn response(&self, mut head: ResponseHead) -> Result<Option<ResponseHead>> {
        let Some(standing) = self.0.recall(&head.request_id) else {
            return Ok(None);
        };
        let reset = standing.reset.map(|reset| (RESET, reset.to_string()));
        let headers = [
            (LIMIT, standing.limit.to_string()),
            (REMAINING, standing.remaining.to_string()),
        ];
        for (name, value) in headers.into_iter().chain(reset) {
            head.headers.push((name.to_owned(), value));
        }
        Ok(Some(head))
    }
}

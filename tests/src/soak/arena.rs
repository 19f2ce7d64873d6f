//! Where clients find the server, which is killed and comes back at another address.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::Findings;
use crate::Request;

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the clients share.
#[derive(Debug, Default)]
pub(super) struct Arena {
    state: Mutex<State>,
    came_back: Condvar,
    is_over: AtomicBool,
    findings: Mutex<Findings>,
}

#[derive(Debug, Default)]
struct State {
    generation: usize,
    /// `None` from just before the server is killed until it is ready again.
    address: Option<SocketAddr>,
}

/// A server between two kills.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) generation: usize,
    address: SocketAddr,
}

/// Why nothing more comes of a request.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection broke: its server was killed, or else something is wrong.
    Cut(io::Error),
    Wrong(String),
}

impl Place {
    pub(super) fn get(self, target: &str) -> Request {
        Request::new(self.address, "GET", target)
    }

    pub(super) fn post(self, target: &str) -> Request {
        Request::new(self.address, "POST", target)
    }
}

impl Arena {
    /// The server is about to be killed.
    pub(super) fn close(&self) {
        self.state().address = None;
    }

    /// The server is ready.
    pub(super) fn open(&self, address: SocketAddr) {
        let mut state = self.state();
        state.generation += 1;
        state.address = Some(address);
        drop(state);
        self.came_back.notify_all();
    }

    /// Where the server is, or will be in a moment.
    pub(super) fn place(&self) -> Result<Place, String> {
        let waited = self
            .came_back
            .wait_timeout_while(self.state(), PATIENCE, |it| it.address.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let address = state.address;
        Ok(Place {
            generation: state.generation,
            address: address.ok_or("the server has not come back")?,
        })
    }

    /// Whether this server was killed: then a connection to it may break.
    pub(super) fn was_killed(&self, place: Place) -> bool {
        let state = self.state();
        state.address.is_none() || state.generation != place.generation
    }

    /// No more runs are begun.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Cut(error)
    }
}

impl From<String> for Trouble {
    fn from(finding: String) -> Self {
        Self::Wrong(finding)
    }
}

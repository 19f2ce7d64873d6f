//! The line to a server: what its tools need to call it, up or down.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mortise_plugin_api::Span;
use mortise_plugin_api::prelude::*;
use rmcp::{Peer, RoleClient, ServiceError};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error;

/// The line to a server.
pub(crate) struct Line {
    server: String,
    call_timeout: Duration,
    state: Mutex<State>,
    doubt: Notify,
}

enum State {
    Up(Peer<RoleClient>),
    Down(String),
}

// === impl Line ===

impl Line {
    pub(crate) fn new(server: &str, call_timeout: Duration) -> Self {
        Self {
            server: server.to_owned(),
            call_timeout,
            state: Mutex::new(State::Down("it was not connected yet".to_owned())),
            doubt: Notify::new(),
        }
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn up(&self, peer: Peer<RoleClient>) {
        *self.state() = State::Up(peer);
    }

    pub(crate) fn down(&self, cause: String) {
        *self.state() = State::Down(cause);
    }

    /// Waits until a call has met a reason to doubt that the line is up.
    pub(crate) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// Asks the server something, for as long as the run goes on and a call may take.
    pub(crate) async fn ask<T, F>(
        &self,
        run: &RunContext,
        ask: impl FnOnce(Peer<RoleClient>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ServiceError>>,
    {
        let asked = timeout(self.call_timeout, ask(self.peer()?));
        let answered = tokio::select! {
            biased;
            // Dropping the request tells the server that it is not wanted any more.
            () = run.cancelled() => return Err(Error::aborted("the run was aborted")),
            answered = asked => answered,
        };
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if error::breaks(&error) {
                    self.doubt.notify_one();
                }
                Err(error::of_call(&self.server, &error))
            }
            Err(_) => {
                self.doubt.notify_one();
                Err(Error::timeout(format!(
                    "The MCP server '{}' gave no result within {}.",
                    self.server,
                    Span(self.call_timeout)
                )))
            }
        }
    }

    fn peer(&self) -> Result<Peer<RoleClient>> {
        match &*self.state() {
            State::Up(peer) => Ok(peer.clone()),
            State::Down(cause) => Err(Error::unavailable(format!(
                "The MCP server '{}' is not connected: {cause}. It is tried again in the \
                 background.",
                self.server
            ))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

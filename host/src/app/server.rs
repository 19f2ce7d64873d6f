//! An app at its own port, until the process is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::App;
use crate::http::{self, Limits};

/// An app that listens, and serves when it is told to.
#[derive(Debug)]
#[must_use = "a server answers nobody until it serves"]
pub struct Server {
    pub(super) app: App,
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) signals: Signals,
}

/// The signals that end the server.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

// === impl Server ===

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The app behind it, to be asked in process as well.
    pub fn app(&self) -> App {
        self.app.clone()
    }

    /// Serves until the process is told to stop, or the [app](Self::app) is stopped, and ends in
    /// order; at a second signal it returns at once.
    pub async fn serve(self) {
        let Self {
            app,
            listener,
            address,
            mut signals,
        } = self;
        tracing::info!(
            %address,
            agents = app.runtime.agents().len(),
            plugins = app.inner.instances.len(),
            "listening"
        );
        let section = &app.inner.config.server;
        let limits = Limits {
            header_timeout: section.header_timeout.0,
            max_connections: section.max_connections,
        };
        let tasks = &app.inner.tasks;
        tasks.spawn(http::serve(listener, Arc::clone(&app.inner.http), limits));
        tokio::select! {
            () = signals.heard() => tracing::info!("stopping"),
            () = tasks.stopping().cancelled() => {}
        }
        tokio::select! {
            () = app.stop() => {}
            () = signals.heard() => tracing::warn!("a second signal: stopping at once"),
        }
    }
}

// === impl Signals ===

impl Signals {
    pub(super) fn listen() -> Result<Self, std::io::Error> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

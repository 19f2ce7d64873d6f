//! An app at its own port, until the process is told to stop.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::App;
use crate::http::{self, Connections, Entrance, Timeouts};

/// An app that listens, and serves when it is told to.
#[derive(Debug)]
#[must_use = "a server answers nobody until it serves"]
pub struct Server {
    pub(super) app: App,
    /// That of `server.host` first.
    pub(super) entrances: Vec<Entrance>,
    pub(super) admin: Option<Entrance>,
    pub(super) signals: Signals,
}

/// The signals that end the server, and two that would: a hangup, and a file at the limit of its size,
/// which is an error of whoever writes it.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// A hangup means that its window was closed.
    is_in_terminal: bool,
    _file_size: Signal,
}

/// How many connections to the metrics page are open at once.
const ADMIN_CONNECTIONS: usize = 64;

// === impl Server ===

impl Server {
    /// Where it listens: the address of `server.host`.
    pub fn address(&self) -> SocketAddr {
        self.entrances[0].address
    }

    /// Where it listens, all addresses: `http://HOST:PORT`, or `https` with TLS. That of
    /// `server.host` comes first, then those of `server.listen` in their order.
    pub fn urls(&self) -> Vec<String> {
        let url = |entrance: &Entrance| match entrance.tls {
            Some(_) => format!("https://{}", entrance.address),
            None => format!("http://{}", entrance.address),
        };
        self.entrances.iter().map(url).collect()
    }

    /// Where the metrics page is, if `admin.listen` says so.
    pub fn metrics_url(&self) -> Option<String> {
        let admin = self.admin.as_ref()?;
        Some(format!("http://{}/metrics", admin.address))
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
            entrances,
            admin,
            mut signals,
        } = self;
        tracing::info!(
            address = %entrances[0].address,
            agents = app.runtime.agents().len(),
            plugins = app.inner.instances.len(),
            "listening"
        );
        let section = &app.inner.config.server;
        let timeouts = Timeouts {
            head: section.header_timeout.0,
            idle: section.idle_timeout.0,
            write: section.write_timeout.0,
        };
        let connections =
            Connections::new(section.max_connections, section.max_connections_per_address);
        let tasks = &app.inner.tasks;
        for entrance in entrances {
            if let Some(tls) = entrance.tls.clone() {
                tasks.spawn(tls.keep_fresh(tasks.stopping().clone()));
            }
            tasks.spawn(http::serve(entrance, Arc::clone(&connections), timeouts));
        }
        if let Some(entrance) = admin {
            // Of its own: whoever takes all others does not keep the operator out.
            let connections = Connections::new(ADMIN_CONNECTIONS, None);
            tasks.spawn(http::serve(entrance, connections, timeouts));
        }
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
            hangup: signal(SignalKind::hangup())?,
            is_in_terminal: std::io::stdin().is_terminal(),
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Waits for one that ends the server. Many send a hangup to have the configuration read again.
    async fn heard(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => {
                    if self.is_in_terminal {
                        return;
                    }
                    tracing::warn!(
                        "SIGHUP changes nothing: the configuration is read at the start; restart the \
                         server to apply it"
                    );
                }
            }
        }
    }
}

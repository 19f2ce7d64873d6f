//! Tools, resources and prompts of MCP servers, over stdio and HTTP.
//!
//! `server.rs` looks after a server; `connection.rs` is one connection to it, over `child.rs` or
//! `remote.rs`, `listener.rs` hears it; `tool.rs` is what agents call, over the `line.rs` that is up or down.

mod child;
mod config;
mod connection;
mod error;
mod line;
mod listener;
mod log;
mod naming;
mod pattern;
mod remote;
mod result;
mod server;
mod tool;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mortise_plugin_api::prelude::*;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::config::{Config, Protocol, ServerConfig};
use crate::server::Server;

/// The plugin: a client of MCP servers, whose tools are its own.
pub struct Mcp {
    servers: Vec<Arc<Server>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Less than the server waits for a plugin.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(1_900);

// === impl Mcp ===

impl Plugin for Mcp {
    type Config = Config;
    const NAME: &'static str = "mcp";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut servers = Vec::with_capacity(config.servers.len());
        for (name, server) in config.servers {
            let settings = server.understood(name)?;
            let toolset = Toolset::new(host.clone());
            let server = Server::new(settings, toolset, stop.clone(), tasks.clone());
            servers.push(Arc::new(server));
        }
        Ok(Self {
            servers,
            stop,
            tasks,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        for server in &self.servers {
            registrar.toolset(server.toolset());
        }
    }

    async fn start(&self) -> Result<()> {
        let opened = join_all(self.servers.iter().map(|server| server.open())).await;
        let failed = self.servers.iter().zip(&opened);
        let failed = failed.filter(|(server, _)| server.is_required());
        let failed: Vec<String> = failed
            .filter_map(|(server, opened)| {
                let error = opened.as_ref().err()?;
                Some(format!("MCP server '{}': {error}", server.name()))
            })
            .collect();
        if !failed.is_empty() {
            return Err(Error::unavailable(format!(
                "{}; say `required = false` to start without it",
                failed.join("; ")
            )));
        }
        for (server, opened) in self.servers.iter().zip(opened) {
            if let Err(error) = &opened {
                tracing::warn!(
                    server = server.name(),
                    "MCP server not connected: {error}; trying again in the background"
                );
            }
            self.tasks.spawn(Arc::clone(server).keep(opened.ok()));
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        self.stop.cancel();
        self.tasks.close();
        timeout(SHUTDOWN_LIMIT, self.tasks.wait())
            .await
            .map_err(|_| Error::timeout("some MCP servers have not ended yet"))
    }
}

impl fmt::Debug for Mcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.servers.iter().map(|server| server.name());
        f.debug_list().entries(servers).finish()
    }
}

export_plugin!(Mcp);

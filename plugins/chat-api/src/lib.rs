//! Chat over HTTP: `/chat`, `/chat/sync` and `/sessions`, as ra clients speak them.
//!
//! A session is a conversation of one agent, a turn is a run in it. Nothing about either is kept
//! here: sessions are found by their runs, and what a run waits for is read from its events, so
//! that it is still known after a restart and whoever began it.

mod config;
mod history;
mod question;
mod request;
mod routes;
mod turn;
mod wire;

use std::sync::{Arc, OnceLock};

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Door, Queue};

pub use crate::config::Config;

/// The plugin: one mount, and the tool by which an agent asks the user.
#[derive(Debug)]
pub struct ChatApi {
    config: Config,
    door: Door,
    chat: Arc<Chat>,
}

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Chat {
    host: Host,
    /// Who answers; known once the server has started.
    agent: OnceLock<String>,
    queue: Queue,
    max_sessions: usize,
}

impl Plugin for ChatApi {
    type Config = Config;
    const NAME: &'static str = "chat-api";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        config.check()?;
        let chat = Chat {
            host,
            agent: OnceLock::new(),
            queue: Queue::default(),
            max_sessions: config.max_sessions,
        };
        Ok(Self {
            door: Door::new(config.token.as_ref(), config.principal.as_ref())?,
            config,
            chat: Arc::new(chat),
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        let mount = routes::mount(&self.config.prefix, self.door.clone(), &self.chat);
        registrar
            .client_tool(question::tool(self.config.answer_timeout.0))
            .mount(mount);
    }

    async fn start(&self) -> Result<()> {
        let exposed = self.chat.host.agents().await?;
        let names: Vec<String> = exposed.into_iter().map(|agent| agent.name).collect();
        let agent = config::chosen(self.config.agent.as_deref(), &names)?;
        if self.door.is_open() {
            tracing::warn!(agent, "config.token is not set: everybody may chat");
        }
        // It starts once.
        let _ = self.chat.agent.set(agent);
        Ok(())
    }
}

// === impl Chat ===

impl Chat {
    fn agent(&self) -> Result<&str> {
        let agent = self.agent.get().map(String::as_str);
        agent.ok_or_else(|| Error::unavailable("The server is starting."))
    }
}

export_plugin!(ChatApi);

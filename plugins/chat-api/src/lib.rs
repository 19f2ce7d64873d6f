//! Chat over HTTP: `/chat`, `/chat/sync` and `/sessions`, as ra clients speak them.
//!
//! A session is a conversation of one agent, a turn is a run in it. Nothing about a turn is kept
//! here: what a run waits for is read from its events, so that it is still known after a restart.

mod config;
mod door;
mod history;
mod operations;
mod question;
mod queue;
mod request;
mod routes;
mod sessions;
mod turn;
mod wire;

use std::sync::{Arc, OnceLock};

use mortise_plugin_api::prelude::*;

pub use crate::config::{Config, PrincipalConfig};
use crate::door::Door;
use crate::queue::Queue;
use crate::sessions::Sessions;

/// The plugin: one mount, and the tool by which an agent asks the user.
#[derive(Debug)]
pub struct ChatApi {
    config: Config,
    chat: Arc<Chat>,
}

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Chat {
    host: Host,
    /// Who answers; known once the server has started.
    agent: OnceLock<String>,
    queue: Queue,
    sessions: Sessions,
}

impl Plugin for ChatApi {
    type Config = Config;
    const NAME: &'static str = "chat-api";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        config.check()?;
        let chat = Chat {
            sessions: Sessions::new(host.clone(), config.max_sessions),
            host,
            agent: OnceLock::new(),
            queue: Queue::default(),
        };
        Ok(Self {
            config,
            chat: Arc::new(chat),
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        let door = Door::new(&self.config);
        registrar
            .client_tool(question::tool(self.config.answer_timeout()))
            .mount(routes::mount(&self.config.prefix, door, &self.chat));
    }

    async fn start(&self) -> Result<()> {
        let exposed = self.chat.host.agents().await?;
        let names: Vec<String> = exposed.into_iter().map(|agent| agent.name).collect();
        let agent = config::chosen(self.config.agent.as_deref(), &names)?;
        if self.config.token.is_none() {
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
        let agent = self.agent.get();
        agent
            .map(String::as_str)
            .ok_or_else(|| Error::unavailable("The server is starting."))
    }
}

export_plugin!(ChatApi);

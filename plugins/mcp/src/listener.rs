//! Who hears what a server says unasked.

#![expect(
    deprecated,
    reason = "the new protocol has no log; servers of the old one write to it"
)]

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, LoggingMessageNotificationParam,
};
use rmcp::service::NotificationContext;
use rmcp::{ClientHandler, RoleClient};
use tokio::sync::Notify;

use crate::log::{self, Budget};

/// Hears that the tools are others, and what is to be logged. Whatever a server asks of its client
/// is declined: nobody is there to be asked.
pub(crate) struct Listener {
    server: String,
    news: Arc<Notify>,
    budget: Mutex<Budget>,
}

// === impl Listener ===

impl Listener {
    pub(crate) fn new(server: &str, news: Arc<Notify>) -> Self {
        Self {
            server: server.to_owned(),
            news,
            budget: Mutex::new(Budget::new()),
        }
    }
}

impl ClientHandler for Listener {
    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.news.notify_one();
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        log::message(&self.server, &mut budget, &params);
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("mortise", env!("CARGO_PKG_VERSION")),
        )
    }
}

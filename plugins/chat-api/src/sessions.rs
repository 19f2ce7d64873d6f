//! The list of sessions: which there are, kept in the state of this instance.

use std::time::{Duration, UNIX_EPOCH};

use mortise_plugin_api::prelude::*;

/// Which sessions there are.
#[derive(Debug)]
pub(crate) struct Sessions {
    host: Host,
    max: usize,
    /// Held while the list is changed, so that requests of this server do not get in each other's way.
    changing: tokio::sync::Mutex<()>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    /// In milliseconds since 1970.
    created: u64,
}

// === impl Sessions ===

impl Sessions {
    pub(crate) fn new(host: Host, max: usize) -> Self {
        Self {
            host,
            max,
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// There is this session.
    pub(crate) async fn add(&self, principal: &Principal, id: &str) -> Result<()> {
        let key = key(principal);
        let _changing = self.changing.lock().await;
        loop {
            let stored = self.host.state_get(&key).await?;
            let mut list = read(stored.as_ref())?;
            if list.iter().any(|session| session.id == id) {
                return Ok(());
            }
            list.push(Session {
                id: id.to_owned(),
                created: self.host.now_millis(),
            });
            let forgotten = list.len().saturating_sub(self.max);
            let list = json!(&list[forgotten..]);
            if self.host.state_compare_and_set(&key, stored, list).await? {
                return Ok(());
            }
        }
    }

    /// The sessions of this principal, the youngest first.
    pub(crate) async fn list(&self, principal: &Principal) -> Result<Vec<Session>> {
        let stored = self.host.state_get(&key(principal)).await?;
        let mut list = read(stored.as_ref())?;
        list.reverse();
        Ok(list)
    }
}

fn read(stored: Option<&Value>) -> Result<Vec<Session>> {
    Ok(stored.map_or(Ok(Vec::new()), Vec::deserialize)?)
}

fn key(principal: &Principal) -> String {
    json!(["sessions", principal.tenant, principal.subject]).to_string()
}

// === impl Session ===

impl Session {
    /// The session as it is listed.
    pub(crate) fn described(&self, message_count: usize) -> Value {
        let created = UNIX_EPOCH + Duration::from_millis(self.created);
        json!({
            "id": self.id,
            "createdAt": humantime::format_rfc3339_millis(created).to_string(),
            "messageCount": message_count,
        })
    }
}

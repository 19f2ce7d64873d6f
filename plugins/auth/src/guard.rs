//! The guard: whose key is in the header?

use std::sync::Arc;

use mortise_plugin_api::is_token;
use mortise_plugin_api::prelude::*;

use crate::config::Config;
use crate::keyring::Keyring;

#[derive(Debug, Clone)]
pub(crate) struct KeyGuard {
    header: String,
    keyring: Arc<Keyring>,
}

// === impl KeyGuard ===

impl KeyGuard {
    pub(crate) fn new(config: Config) -> Result<Self> {
        let header = config.header.trim().to_ascii_lowercase();
        if !is_token(&header) {
            let message = format!("is {:?}, which is no name of a header", config.header);
            return Err(Error::config("/header", message));
        }
        Ok(Self {
            header,
            keyring: Arc::new(Keyring::new(config.keys)?),
        })
    }
}

impl Hook for KeyGuard {
    fn info(&self) -> HookInfo {
        HookInfo::new("api-key")
            .on(Stage::Guard)
            .authenticates_by(&[&self.header])
            .answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        let presented = request
            .header_bytes(&self.header)
            .filter(|key| !key.trim_ascii().is_empty());
        match presented.and_then(|key| self.keyring.holder(key)) {
            Some(holder) => Ok(GuardVerdict::Authenticated(holder.clone())),
            None => GuardVerdict::refuse(401, "unauthorized", "Invalid API key."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_must_have_a_name() {
        for name in ["", " ", "x api", "x:y", "schlüssel"] {
            let config = Config {
                header: name.to_owned(),
                ..Config::default()
            };
            let refused = KeyGuard::new(config).unwrap_err();
            assert_eq!(refused.issues()[0].path, "/header", "{name:?}");
        }
    }

    #[test]
    fn a_table_needs_key_and_subject_and_no_more() {
        let read = |value: Value| serde_json::from_value::<Config>(value);
        let config = read(json!({ "keys": [{ "key": "k", "subject": "ann" }] })).unwrap();
        assert_eq!(config.header, "x-api-key");
        assert_eq!(config.keys[0].tenant, "default");
        assert!(read(json!({ "keys": ["k"] })).is_err());
        assert!(read(json!({ "keys": [{ "key": "k" }] })).is_err());
        assert!(read(json!({ "keys": [{ "key": "k", "subject": "ann", "user": "x" }] })).is_err());
    }
}

//! The keys, as digests: which of them was presented, told in constant time.

use std::fmt;

use mortise_plugin_api::prelude::*;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::config::KeyConfig;

/// The keys and their holders.
#[derive(Debug)]
pub(crate) struct Keyring {
    entries: Vec<Entry>,
}

struct Entry {
    digest: KeyDigest,
    holder: Principal,
}

// Digests are of one length, so that comparing them tells nothing of the keys' lengths.
type KeyDigest = [u8; 32];

// === impl Keyring ===

impl Keyring {
    /// # Errors
    /// `CONFIG` at the place of a key: no text of one is shown.
    pub(crate) fn new(keys: Vec<KeyConfig>) -> Result<Self> {
        if keys.is_empty() {
            let message = "is empty: without a key nobody could come in";
            return Err(Error::config("/keys", message));
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(keys.len());
        for (place, key) in keys.into_iter().enumerate() {
            let wrong = |setting, message| {
                let path = format!("/keys/{place}/{setting}");
                Err(Error::config(path, message))
            };
            let text = key.key.0.trim();
            if text.is_empty() {
                return wrong("key", "is blank".to_owned());
            }
            if text.contains(|it: char| it.is_control() || it == '\u{feff}') {
                let message = "has a control character or a byte order mark in it, which no header \
                               carries";
                return wrong("key", message.to_owned());
            }
            if key.subject.trim().is_empty() {
                return wrong("subject", "is blank".to_owned());
            }
            let digest = digest(text.as_bytes());
            if let Some(first) = entries.iter().position(|entry| entry.digest == digest) {
                return wrong("key", format!("is the same as keys.{first}.key"));
            }
            let holder = key.scopes.into_iter().fold(
                Principal::new(key.subject).with_tenant(key.tenant),
                Principal::with_scope,
            );
            entries.push(Entry { digest, holder });
        }
        Ok(Self { entries })
    }

    /// Who holds this very key. Looks at every entry, whichever matches.
    pub(crate) fn holder(&self, presented: &[u8]) -> Option<&Principal> {
        let presented = digest(presented);
        let mut found = u64::MAX;
        for (place, entry) in (0_u64..).zip(&self.entries) {
            found.conditional_assign(&place, entry.digest.ct_eq(&presented));
        }
        let found = usize::try_from(found).ok()?;
        self.entries.get(found).map(|entry| &entry.holder)
    }
}

fn digest(key: &[u8]) -> KeyDigest {
    Sha256::digest(key).into()
}

// === impl Entry ===

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, subject: &str) -> KeyConfig {
        KeyConfig {
            key: Secret(key.to_owned()),
            subject: subject.to_owned(),
            tenant: "acme".to_owned(),
            scopes: vec!["runs:approve".to_owned()],
        }
    }

    #[test]
    fn each_key_has_its_holder_and_other_texts_have_none() {
        let keyring = Keyring::new(vec![key(" k1 ", "ann"), key("k2", "bob")]).unwrap();
        let subject = |presented: &str| {
            let holder = keyring.holder(presented.as_bytes())?;
            Some(holder.subject.as_str())
        };
        assert_eq!(subject("k1"), Some("ann"));
        assert_eq!(subject("k2"), Some("bob"));
        for wrong in ["", "k", "k3", "K1", " k1", "k1 ", "k1k2"] {
            assert_eq!(subject(wrong), None, "{wrong:?}");
        }

        let ann = keyring.holder(b"k1").unwrap();
        assert_eq!(ann.tenant, "acme");
        assert!(ann.has_scope("runs:approve"));
    }

    /// The place, and what is wrong there.
    fn refused(keys: Vec<KeyConfig>) -> String {
        let refused = Keyring::new(keys).unwrap_err();
        format!("{} {}", refused.issues()[0].path, refused.message())
    }

    #[test]
    fn keys_that_cannot_be_told_apart_are_refused_by_place() {
        for (keys, expected) in [
            (vec![], "/keys is empty"),
            (
                vec![key("k1", "ann"), key(" ", "bob")],
                "/keys/1/key is blank",
            ),
            (vec![key("k1", " ")], "/keys/0/subject is blank"),
            (
                vec![key("k1", "ann"), key("k2", "bob"), key("k1 ", "eve")],
                "/keys/2/key is the same as keys.0.key",
            ),
        ] {
            let refused = refused(keys);
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    #[test]
    fn a_key_that_no_header_carries_is_refused() {
        for text in ["a\nb", "a\u{1}", "\u{feff}a"] {
            let keys = vec![key("k", "ann"), key(text, "bob")];
            let refused = refused(keys);
            assert!(
                refused.starts_with("/keys/1/key has a control"),
                "{refused}"
            );
        }
    }

    #[test]
    fn no_key_is_ever_shown() {
        let config = key("hunter2", "ann");
        assert!(!format!("{config:?}").contains("hunter2"));
        let keyring = Keyring::new(vec![config]).unwrap();
        assert!(!format!("{keyring:?}").contains("hunter2"));
    }
}
